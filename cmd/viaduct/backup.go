package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"time"

	"github.com/spf13/cobra"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/clientcmd"

	"viaduct/internal/apiserver"
	"viaduct/internal/apiserver/backup"
	"viaduct/internal/apiserver/store"
	"viaduct/internal/datadir"
)

// backupOptions name the server whose state is saved or restored.
type backupOptions struct {
	dataDir string
	pkiDir  string // empty: in dataDir
	force   bool   // of restore
}

func (o *backupOptions) register(cmd *cobra.Command) {
	registerDataDir(cmd.Flags(), &o.dataDir)
	registerPKIDir(cmd.Flags(), &o.pkiDir)
}

// absolute makes the directories absolute, and fills in the default.
func (o *backupOptions) absolute() (err error) {
	if o.dataDir, err = filepath.Abs(o.dataDir); err != nil {
		return fmt.Errorf("finding the data directory: %w", err)
	}
	if o.pkiDir == "" {
		o.pkiDir = apiserver.PKIDir(o.dataDir)
	}
	return nil
}

func newBackup(con console, logs *logOptions) *cobra.Command {
	var o backupOptions
	cmd := &cobra.Command{
		Use:   "backup FILE",
		Short: "Save the state of a server to a file",
		Long: `Saves a consistent snapshot of the store in --data-dir, and the certificate authority, so that
existing kubeconfigs work with the restored server. The server may be running or stopped. FILE is a
tar archive with checksums. It is written atomically.

FILE contains every Secret and the private keys of the certificate authority: protect it like them.
This command does not save an etcd cluster (--etcd-servers); use 'etcdctl snapshot save' for that.`,
		Example: "  viaduct backup /backups/viaduct-$(date +%F).tar",
		Args:    fileArg,
		RunE: func(cmd *cobra.Command, args []string) error {
			logs.start(con.Err)
			return o.run(cmd, con, args[0], o.backup)
		},
	}
	o.register(cmd)
	return cmd
}

// run calls do with the file. A signal ends the context of do.
func (o *backupOptions) run(cmd *cobra.Command, con console, file string, do func(context.Context, console,
	string) error) error {
	ctx, stop := onSignal(cmd.Context(), con.Err)
	defer stop()
	if err := o.absolute(); err != nil {
		return err
	}
	return do(ctx, con, file)
}

// fileArg requires exactly one positional argument, the file.
func fileArg(cmd *cobra.Command, args []string) error {
	if len(args) == 1 && args[0] != "" {
		return nil
	}
	return usageError{cmd.CommandPath(), errors.New("want exactly one FILE")}
}

// backup reads a snapshot from the running server. If no server runs, it opens the store itself.
func (o *backupOptions) backup(ctx context.Context, con console, file string) error {
	if _, err := os.Stat(o.dataDir); err != nil {
		return fmt.Errorf("finding the server: %w", err)
	}
	unlock, err := datadir.Lock(o.dataDir, datadir.ServerLock)
	var held datadir.HeldError
	switch {
	case errors.As(err, &held):
		return o.backupRunning(ctx, con, file)
	case err != nil:
		return err
	}
	defer unlock()
	return o.backupStopped(ctx, con, file)
}

func (o *backupOptions) backupStopped(ctx context.Context, con console, file string) error {
	dir := apiserver.StoreDir(o.dataDir)
	if _, err := os.Stat(dir); err != nil {
		return fmt.Errorf("no server runs with %s, and it has no store: %w", o.dataDir, err)
	}
	opened, err := store.Open(ctx, store.Options{Dir: dir})
	if err != nil {
		return err
	}
	defer opened.Close()
	snapshot, err := opened.Snapshot()
	if err != nil {
		return err
	}
	defer snapshot.Close()
	r, w := io.Pipe()
	go func() {
		_, err := snapshot.WriteTo(w)
		w.CloseWithError(err)
	}()
	defer r.Close()
	return o.write(con, file, r, snapshot.Size())
}

func (o *backupOptions) backupRunning(ctx context.Context, con console, file string) error {
	config, err := clientcmd.BuildConfigFromFlags("", datadir.Kubeconfig(o.dataDir))
	if err != nil {
		return fmt.Errorf("reading the kubeconfig of the running server: %w", err)
	}
	client, err := rest.HTTPClientFor(config)
	if err != nil {
		return fmt.Errorf("making an API client: %w", err)
	}
	defer client.CloseIdleConnections()
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, config.Host+apiserver.SnapshotPath, nil)
	if err != nil {
		return err
	}
	resp, err := client.Do(request)
	if err != nil {
		return fmt.Errorf("reading a snapshot from the running server: %w", err)
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		return fmt.Errorf("reading a snapshot from the running server: %w", answered(resp))
	}
	return o.write(con, file, resp.Body, resp.ContentLength)
}

// answered returns the error in the body of an answer.
func answered(resp *http.Response) error {
	body, err := io.ReadAll(io.LimitReader(resp.Body, 64<<10))
	if err != nil {
		return err
	}
	status, err := decodeStatus(body)
	if err != nil {
		return fmt.Errorf("the server answers %s", resp.Status)
	}
	return &apierrors.StatusError{ErrStatus: *status}
}

// decodeStatus reads the server's answer to a request that it refuses.
func decodeStatus(body []byte) (*metav1.Status, error) {
	var status metav1.Status
	if err := json.Unmarshal(body, &status); err != nil {
		return nil, err
	}
	if status.Kind != "Status" {
		return nil, fmt.Errorf("the server answers a %q", status.Kind)
	}
	return &status, nil
}

func (o *backupOptions) write(con console, file string, snapshot io.Reader, size int64) error {
	start := time.Now()
	told := &progress{from: snapshot, to: con.Err, size: size, next: start.Add(progressEvery)}
	written, err := backup.Write(file, told, size, o.pkiDir)
	if err != nil {
		return fmt.Errorf("saving to %s: %w", file, err)
	}
	fmt.Fprintf(con.Out, "saved       %s\nstore       %s\nauthority   %d files of %s\ntook %d ms\n",
		sized(file, written.Size), megabytes(size), written.PKIFiles, o.pkiDir, time.Since(start).Milliseconds())
	return nil
}

// progressEvery is the time between two lines of progress.
const progressEvery = 3 * time.Second

// A progress is a reader that prints how much has been read.
type progress struct {
	from       io.Reader
	to         io.Writer
	size, done int64
	next       time.Time
}

func (p *progress) Read(b []byte) (int, error) {
	n, err := p.from.Read(b)
	p.done += int64(n)
	if now := time.Now(); now.After(p.next) {
		fmt.Fprintf(p.to, "%s of %s\n", megabytes(p.done), megabytes(p.size))
		p.next = now.Add(progressEvery)
	}
	return n, err
}

func sized(file string, size int64) string { return fmt.Sprintf("%s (%s)", file, megabytes(size)) }

func megabytes(n int64) string {
	if n < 1e6 {
		return fmt.Sprintf("%.0f kB", float64(n)/1e3)
	}
	return fmt.Sprintf("%.1f MB", float64(n)/1e6)
}
