package storagewatch

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"k8s.io/apimachinery/pkg/apis/meta/internalversion"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/watch"
)

// fakeStorage hands out one watch, or fails.
type fakeStorage struct {
	watch watch.Interface
	err   error
}

func (f fakeStorage) Watch(context.Context, *internalversion.ListOptions) (watch.Interface, error) {
	return f.watch, f.err
}

var errHandle, errOpen = errors.New("cannot handle"), errors.New("cannot open")

func TestOnce(t *testing.T) {
	object := &metav1.Status{}
	for name, row := range map[string]struct {
		send    func(*watch.FakeWatcher)
		open    error
		handled int
		want    error // nil: no error at all
		fails   bool
	}{
		"the storage ends the watch": {send: func(w *watch.FakeWatcher) { w.Add(object); w.Delete(object); w.Stop() },
			handled: 2},
		"the watch reports an error": {send: func(w *watch.FakeWatcher) { w.Error(object) }, fails: true},
		"the handler fails":          {send: func(w *watch.FakeWatcher) { w.Modify(object) }, want: errHandle, fails: true},
		"it cannot be opened":        {send: func(*watch.FakeWatcher) {}, open: errOpen, want: errOpen, fails: true},
	} {
		t.Run(name, func(t *testing.T) {
			w := watch.NewFakeWithChanSize(3, false)
			row.send(w)
			handled := 0
			err := Once(t.Context(), fakeStorage{w, row.open}, nil, func(event watch.Event) error {
				if event.Type == watch.Modified {
					return errHandle
				}
				handled++
				return nil
			})
			if (err != nil) != row.fails || row.want != nil && !errors.Is(err, row.want) {
				t.Errorf("error %v, want %v", err, row.want)
			}
			if handled != row.handled {
				t.Errorf("%d events handled, want %d", handled, row.handled)
			}
		})
	}
}

func TestOnceEndsWithItsContext(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	w := watch.NewFake()
	if err := Once(ctx, fakeStorage{watch: w}, nil, func(watch.Event) error { return errHandle }); err != nil {
		t.Error(err)
	}
	if !w.IsStopped() {
		t.Error("the watch is not stopped")
	}
}

func TestPause(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		begin := time.Now()
		if !Pause(t.Context(), time.Minute) || time.Since(begin) != time.Minute {
			t.Errorf("the pause ended after %s", time.Since(begin))
		}
		ctx, cancel := context.WithCancel(t.Context())
		cancel()
		if Pause(ctx, time.Minute) {
			t.Error("a pause of an ended context counts as whole")
		}
	})
}
