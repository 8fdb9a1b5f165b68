package loop_test

import (
	"context"
	"errors"
	"fmt"
	"time"

	"viaduct/internal/loop"
)

// A loop retries a function that fails, until it succeeds. The kick is given before Run and is not lost.
func Example() {
	ctx, stop := context.WithCancel(context.Background())
	runs := 0
	l := loop.New(func(context.Context) error {
		if runs++; runs < 3 {
			fmt.Println("run", runs, "failed")
			return errors.New("not yet")
		}
		fmt.Println("run", runs, "succeeded")
		stop()
		return nil
	}, loop.Options{FirstRetry: time.Millisecond})
	l.Kick()
	fmt.Println("ended:", l.Run(ctx))
	// Output:
	// run 1 failed
	// run 2 failed
	// run 3 succeeded
	// ended: <nil>
}
