package takeover

import (
	"context"
	"log/slog"
	"strings"
	"time"
)

// again is how often Finish looks whether kube-proxy has ended, and how soon it tries again after an error.
const again = 2 * time.Second

// Finish removes what kube-proxy left, as soon as no kube-proxy runs in this network namespace: one that does would put
// its rules back. It says in log what it waits for, what it removes and what stays, and returns when all is done or ctx
// has ended. It is to be called when somebody else carries the connections.
func Finish(ctx context.Context, log *slog.Logger) {
	said := ""
	for {
		waiting := attempt(ctx, log)
		if waiting == "" || ctx.Err() != nil {
			return
		}
		if waiting != said {
			log.WarnContext(ctx, "the rules of kube-proxy stay for now; it is tried again until they are gone", "because",
				waiting)
			said = waiting
		}
		select {
		case <-ctx.Done():
			return
		case <-time.After(again):
		}
	}
}

// attempt removes it all, or says why not.
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
	if len(removed) > 0 { // a warning, since somebody else's rules have gone from this host, and that happens once
		log.WarnContext(ctx, "removed what kube-proxy left", "what", strings.Join(removed, "; "))
	}
	if err != nil {
		return err.Error()
	}
	for _, note := range found.Notes {
		log.WarnContext(ctx, "about what kube-proxy left: "+note)
	}
	if len(removed) == 0 {
		log.InfoContext(ctx, "kube-proxy has left nothing on this host")
	}
	return ""
}
