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

// AskTimeout is the time limit for one request to the proxy.
const AskTimeout = 5 * time.Second

// GetJSON reads the JSON response of url into to, within AskTimeout. A status other than 200 is an error: ErrNotViaduct
// for 404, else an error with the text of the response.
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

// ErrNotViaduct says that the server at the address of the proxy does not know the requested path.
var ErrNotViaduct = errors.New("no proxy of Viaduct, but perhaps kube-proxy")

// BareURL returns the error inside a *url.Error. The text of a *url.Error repeats the URL.
func BareURL(err error) error {
	var u *url.Error
	if errors.As(err, &u) {
		return u.Err
	}
	return err
}
