package main

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/spf13/cobra"

	"viaduct/internal/apiserver"
	"viaduct/internal/apiserver/backup"
	"viaduct/internal/datadir"
)

func newRestore(con console, logs *logOptions) *cobra.Command {
	var o backupOptions
	cmd := &cobra.Command{
		Use:   "restore FILE",
		Short: "Restore the state of a server from a backup",
		Long: `Verifies FILE, and restores its store and its certificate authority to --data-dir. No server may use
the directory. A server that is then started with it has every object as of the time of the backup.
Clients that have seen later objects list all objects again.

The command refuses a data directory that is not empty. With --force, it moves the old content aside
and does not delete it.`,
		Example: "  viaduct restore /backups/viaduct-2026-11-23.tar --data-dir /var/lib/viaduct",
		Args:    fileArg,
		RunE: func(cmd *cobra.Command, args []string) error {
			logs.start(con.Err)
			return o.run(cmd, con, args[0], o.restore)
		},
	}
	o.register(cmd)
	cmd.Flags().BoolVar(&o.force, "force", false, "replace the content of --data-dir and --pki-dir; the old content is "+
		"moved aside")
	return cmd
}

func (o *backupOptions) restore(ctx context.Context, con console, file string) error {
	dataDir, err := datadir.Create(o.dataDir)
	if err != nil {
		return err
	}
	unlock, err := datadir.Lock(dataDir, datadir.ServerLock)
	if err != nil {
		return err
	}
	defer unlock()
	start := time.Now()
	fmt.Fprintf(con.Err, "verifying %s and preparing its content\n", file)
	restored, err := backup.Restore(ctx, file, backup.Target{StoreDir: apiserver.StoreDir(dataDir), PKIDir: o.pkiDir,
		Replace: o.force})
	if errors.Is(err, backup.ErrNotEmpty) {
		return fmt.Errorf("%w: give another --data-dir, or --force to move its content aside", err)
	}
	if err != nil {
		return fmt.Errorf("restoring %s: %w", file, err)
	}
	fmt.Fprintf(con.Out, "restored    %s\nstore       %s, %d keys as of revision %d\nauthority   %d files in %s\n",
		file, megabytes(restored.Size), restored.Keys, restored.Revision, restored.PKIFiles, o.pkiDir)
	for _, aside := range restored.Aside {
		fmt.Fprintf(con.Out, "moved aside %s\n", aside)
	}
	fmt.Fprintf(con.Out, "took %d ms\n", time.Since(start).Milliseconds())
	return nil
}
