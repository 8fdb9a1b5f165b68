package collect

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"
	"time"
)

// AskTimeout bounds one question to the proxy.
const AskTimeout = 5 * time.Second

// GetJSON reads what url answers into to, within AskTimeout. An answer other than 200 is an error: ErrNotViaduct for
// 404, or one with the text of the answer.
func GetJSON(ctx context.Context, url string, to any) error {
	ctx, cancel := context.WithTimeout(ctx, AskTimeout)
	defer cancel()
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		return err
	}
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		return BareURL(err)
	}
	defer response.Body.Close()
	body, err := io.ReadAll(io.LimitReader(response.Body, 64<<20))
	if err != nil {
		return fmt.Errorf("reading the answer: %w", err)
	}
	switch response.StatusCode {
	case http.StatusOK:
		return json.Unmarshal(body, to)
	case http.StatusNotFound:
		return ErrNotViaduct
	}
	return errors.New(strings.TrimSpace(string(body)))
}

// ErrNotViaduct says that what answers at the address of the proxy does not know the question.
var ErrNotViaduct = errors.New("no proxy of Viaduct, but perhaps kube-proxy")

// BareURL is the error inside a *url.Error, whose text repeats the URL.
func BareURL(err error) error {
	var u *url.Error
	if errors.As(err, &u) {
		return u.Err
	}
	return err
}
