package logging

import (
	"context"
	"log/slog"
	"slices"
	"strings"
)

// withoutDisconnects wraps a handler and drops the errors that the API server library logs when a client disconnects
// during a request, for example an interrupted kubectl. No operator can act on such an error. At debug level they are
// kept.
type withoutDisconnects struct{ slog.Handler }

func (h withoutDisconnects) Handle(ctx context.Context, r slog.Record) error {
	if isDisconnect(r) && !h.Enabled(ctx, slog.LevelDebug) {
		return nil
	}
	return h.Handler.Handle(ctx, r)
}

func (h withoutDisconnects) WithAttrs(attrs []slog.Attr) slog.Handler {
	return withoutDisconnects{h.Handler.WithAttrs(attrs)}
}

func (h withoutDisconnects) WithGroup(name string) slog.Handler {
	return withoutDisconnects{h.Handler.WithGroup(name)}
}

func isDisconnect(r slog.Record) bool {
	if slices.Contains([]string{"Timeout or abort while handling", "Post-timeout activity"}, r.Message) {
		return true
	}
	found := false
	r.Attrs(func(a slog.Attr) bool {
		found = a.Key == "err" && isDisconnectError(a.Value.String())
		return !found
	})
	return found
}

// isDisconnectError matches the library's error texts for a request that ended after its client disconnected. A request
// that panicked after the timeout is an error of this server and is kept.
func isDisconnectError(text string) bool {
	late := strings.HasPrefix(text, "FinishRequest: post-timeout activity") && strings.Contains(text, "panicked: false")
	canceled := strings.HasPrefix(text, "apiserver received an error that is not an metav1.Status") &&
		strings.HasSuffix(text, ": context canceled")
	return late || canceled || strings.HasSuffix(text, "http: Handler timeout")
}
