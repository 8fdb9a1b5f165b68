package nft

import (
	"context"
	"fmt"
	"time"
)

// Watch calls doubt whenever another process changes Viaduct's tables, until ctx ends. The kernel reports every change
// of its tables and the socket that made the change. A filter in the kernel drops the reports of this Backend's own
// changes, so watching costs nothing while no other process makes changes.
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

// quiet is the shortest time between two calls of doubt. Another program often makes many changes in a row, and each
// repair reads the whole content of the tables.
const quiet = 50 * time.Millisecond

func awaitQuiet(ctx context.Context) {
	select {
	case <-ctx.Done():
	case <-time.After(quiet):
	}
}
