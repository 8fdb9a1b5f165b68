package takeover

import (
	"context"
	"log/slog"
	"strings"
	"time"
)

// retryInterval is the time between two attempts of Finish, while kube-proxy runs or after an error.
const retryInterval = 2 * time.Second

// Finish waits until no kube-proxy runs in this network namespace, and removes what kube-proxy left. A running
// kube-proxy would add its rules again. Finish logs what it waits for, what it removes and what stays. It returns when
// everything is removed or ctx ends. Call it after another proxy carries the connections to Services.
func Finish(ctx context.Context, log *slog.Logger) {
	logged := ""
	for {
		waiting := attempt(ctx, log)
		if waiting == "" || ctx.Err() != nil {
			return
		}
		if waiting != logged {
			log.WarnContext(ctx, "the rules of kube-proxy stay for now; Viaduct tries again until it can remove them",
				"because", waiting)
			logged = waiting
		}
		select {
		case <-ctx.Done():
			return
		case <-time.After(retryInterval):
		}
	}
}

// attempt removes what kube-proxy left, or returns the reason why it cannot.
func attempt(ctx context.Context, log *slog.Logger) (waiting string) {
	pids, err := Running()
	if err != nil {
		return err.Error()
	}
	if len(pids) > 0 {
		return StillRuns(pids)
	}
	found, err := Find(ctx)
	if err != nil {
		return err.Error()
	}
	removed, err := found.Remove(ctx)
	if len(removed) > 0 { // a warning, because rules of another program are gone from this host
		log.WarnContext(ctx, "removed what kube-proxy left", "what", strings.Join(removed, "; "))
	}
	if err != nil {
		return err.Error()
	}
	for _, note := range found.Notes {
		log.WarnContext(ctx, "a note on what kube-proxy left: "+note)
	}
	if len(removed) == 0 {
		log.InfoContext(ctx, "kube-proxy has left nothing on this host")
	}
	return ""
}
