// Package storagewatch opens watches on the storages of the API server, for the parts of the server that follow objects
// without an informer. It must not keep objects, and it must not retry: its callers know what a lost watch means to
// them.
package storagewatch

import (
	"context"
	"fmt"
	"time"

	"k8s.io/apimachinery/pkg/apis/meta/internalversion"
	"k8s.io/apimachinery/pkg/watch"
	"k8s.io/apiserver/pkg/registry/rest"
)

// RetryAfter is the pause that callers make after an error or a lost watch.
const RetryAfter = 100 * time.Millisecond

// Once opens one watch and passes its events to handle. It returns nil when ctx ends or when the storage ends the
// watch. It returns an error if the watch cannot be opened, if the watch reports an error, or if handle fails.
func Once(ctx context.Context, from rest.Watcher, options *internalversion.ListOptions,
	handle func(watch.Event) error) error {
	w, err := from.Watch(ctx, options)
	if err != nil {
		return fmt.Errorf("opening the watch: %w", err)
	}
	defer w.Stop()
	for {
		select {
		case <-ctx.Done():
			return nil
		case event, ok := <-w.ResultChan():
			if !ok {
				return nil
			}
			if event.Type == watch.Error {
				return fmt.Errorf("the watch ended: %v", event.Object)
			}
			if err := handle(event); err != nil {
				return err
			}
		}
	}
}

// Pause waits for d. It returns false if ctx ends first.
func Pause(ctx context.Context, d time.Duration) bool {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-ctx.Done():
		return false
	case <-timer.C:
		return true
	}
}
