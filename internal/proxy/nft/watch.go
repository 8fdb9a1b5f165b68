package nft

import (
	"context"
	"fmt"
	"time"
)

// Watch calls doubt whenever another process changes Viaduct's tables, until ctx ends. The kernel reports every change
// of its tables and the socket that made it. A filter in the kernel drops the changes of this Backend, so watching
// costs nothing while no other process is at work.
func (b *Backend) Watch(ctx context.Context, doubt func()) error {
	for ctx.Err() == nil {
		changed, err := b.monitor.Wait(TableName)
		if err != nil && ctx.Err() == nil {
			return fmt.Errorf("watching the kernel's tables: %w", err)
		}
		if changed && ctx.Err() == nil {
			doubt()
			awaitQuiet(ctx)
		}
	}
	return nil
}

// quiet is the least time between two calls of doubt: another program makes many changes one after another, and each
// repair reads everything.
const quiet = 50 * time.Millisecond

func awaitQuiet(ctx context.Context) {
	select {
	case <-ctx.Done():
	case <-time.After(quiet):
	}
}
