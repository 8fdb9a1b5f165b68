package main

import (
	"context"
	"log/slog"
	"slices"
	"strings"
)

// clientsLeft wraps a handler and drops what the API server library logs as errors when a client goes away in the
// middle of a request: an interrupted kubectl, a part that is stopped. Nobody can act on it.
type clientsLeft struct{ slog.Handler }

func (h clientsLeft) Handle(ctx context.Context, r slog.Record) error {
	if aboutClientsLeaving(r) && !h.Enabled(ctx, slog.LevelDebug) {
		return nil
	}
	return h.Handler.Handle(ctx, r)
}

func (h clientsLeft) WithAttrs(attrs []slog.Attr) slog.Handler {
	return clientsLeft{h.Handler.WithAttrs(attrs)}
}

func (h clientsLeft) WithGroup(name string) slog.Handler {
	return clientsLeft{h.Handler.WithGroup(name)}
}

func aboutClientsLeaving(r slog.Record) bool {
	if slices.Contains([]string{"Timeout or abort while handling", "Post-timeout activity"}, r.Message) {
		return true
	}
	found := false
	r.Attrs(func(a slog.Attr) bool {
		found = a.Key == "err" && isClientLeaving(a.Value.String())
		return !found
	})
	return found
}

// isClientLeaving knows the library's sentences about a request that ended after its client had gone; that it panicked
// meanwhile would be ours to know.
func isClientLeaving(text string) bool {
	late := strings.HasPrefix(text, "FinishRequest: post-timeout activity") && strings.Contains(text, "panicked: false")
	gaveUp := strings.HasPrefix(text, "apiserver received an error that is not an metav1.Status") &&
		strings.HasSuffix(text, ": context canceled")
	return late || gaveUp || strings.HasSuffix(text, "http: Handler timeout")
}
