package main

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"

	"k8s.io/client-go/kubernetes"
	restclient "k8s.io/client-go/rest"
	"k8s.io/client-go/tools/clientcmd"
)

const nodeName = "bench"

// up is a running `viaduct up` without Pods of its own. The measurements write the Pods and their status.
type up struct {
	cmd     *exec.Cmd
	dataDir string
	url     string
	started time.Time
	pods    string // the first two octets of the Pod CIDR
	log     string // file with its output
	client  *kubernetes.Clientset
}

// The commands to start: all parts, or the API server alone.
const (
	everything = "up"
	serverOnly = "server"
)

// startUp starts a command of the binary on dataDir, with addresses of its own. It does not wait until the command is
// ready.
func startUp(b *bench, command, dataDir string) (*up, error) {
	port, err := freePort()
	if err != nil {
		return nil, err
	}
	u := &up{dataDir: dataDir, url: fmt.Sprintf("https://127.0.0.1:%d", port), pods: "10.244", log: dataDir + ".log"}
	services, pods := kernelServices, "10.244.0.0/16"
	if !b.kernel {
		block := 64 + rand.IntN(128) // of 127.0.0.0/8, so that two runs on one host differ
		u.pods, services, pods = fmt.Sprintf("127.%d", block), fmt.Sprintf("127.%d.128.0/17", block),
			fmt.Sprintf("127.%d.0.0/17", block)
	}
	log, err := os.Create(u.log)
	if err != nil {
		return nil, err
	}
	defer log.Close()
	args := []string{command, "--data-dir", dataDir, "--listen", fmt.Sprintf("127.0.0.1:%d", port), "--service-cidr",
		services}
	if command == everything {
		args = append(args, "--node-name", nodeName, "--runtime", "none", "--pod-cidr", pods)
	}
	u.cmd = exec.Command(b.binary, args...)
	u.cmd.Stdout, u.cmd.Stderr = log, log
	u.started = time.Now()
	return u, u.cmd.Start()
}

func freePort() (int, error) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return 0, err
	}
	defer l.Close()
	return l.Addr().(*net.TCPAddr).Port, nil
}

// waitReady polls /readyz every millisecond, which needs no login. It returns the time since the start of the process.
func (u *up) waitReady(ctx context.Context) (time.Duration, error) {
	ctx, cancel := context.WithTimeout(ctx, 30*time.Second)
	defer cancel()
	// The client only asks a server on this host whether it is ready. The server's certificate is new, and no authority
	// that the client knows has signed it.
	client := &http.Client{Transport: &http.Transport{TLSClientConfig: &tls.Config{InsecureSkipVerify: true}}}
	defer client.CloseIdleConnections()
	for {
		req, err := http.NewRequestWithContext(ctx, http.MethodGet, u.url+"/readyz", nil)
		if err != nil {
			return 0, err
		}
		if resp, err := client.Do(req); err == nil {
			resp.Body.Close()
			if resp.StatusCode == http.StatusOK {
				return time.Since(u.started), nil
			}
		}
		select {
		case <-ctx.Done():
			return 0, fmt.Errorf("not ready: %w; see %s", ctx.Err(), u.log)
		case <-time.After(time.Millisecond):
		}
	}
}

// connect makes the client. It uses TLS like the client of a user.
func (u *up) connect() error { return u.connectBy(nil) }

// connectBy is connect with a dialer. A nil dialer means the default one.
func (u *up) connectBy(dial func(ctx context.Context, network, address string) (net.Conn, error)) error {
	config, err := clientcmd.BuildConfigFromFlags("", filepath.Join(u.dataDir, "kubeconfig"))
	if err != nil {
		return err
	}
	config.QPS = -1
	config.Dial = dial
	config.WarningHandler = restclient.NoWarnings{} // suppresses the warning that Endpoints are deprecated
	config.ContentConfig = restclient.ContentConfig{ContentType: "application/vnd.kubernetes.protobuf",
		AcceptContentTypes: "application/vnd.kubernetes.protobuf,application/json"}
	u.client, err = kubernetes.NewForConfig(config)
	return err
}

func (u *up) stop() error {
	if err := u.cmd.Process.Signal(syscall.SIGTERM); err != nil {
		return err
	}
	err := u.cmd.Wait()
	var exit *exec.ExitError
	if errors.As(err, &exit) {
		return fmt.Errorf("viaduct up ended with %s; see %s", exit, u.log)
	}
	return err
}

// residentMB returns the resident memory of the process, in MB.
func (u *up) residentMB() (float64, error) { return residentOf(u.cmd.Process.Pid) }

func residentOf(pid int) (float64, error) {
	data, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
	if err != nil {
		return 0, err
	}
	for line := range strings.Lines(string(data)) {
		if rest, ok := strings.CutPrefix(line, "VmRSS:"); ok {
			kb, err := strconv.Atoi(strings.Fields(rest)[0])
			return float64(kb) / 1024, err
		}
	}
	return 0, errors.New("no VmRSS in /proc")
}

// with runs measure with a new `viaduct up` that is ready.
func with(ctx context.Context, b *bench, measure func(u *up) ([]row, error)) ([]row, error) {
	return withCommand(ctx, b, everything, measure)
}

// withCommand runs measure with a new command of the binary that is ready.
func withCommand(ctx context.Context, b *bench, command string, measure func(u *up) ([]row, error)) ([]row, error) {
	dir, err := os.MkdirTemp("", "viaduct-bench-")
	if err != nil {
		return nil, err
	}
	u, err := startUp(b, command, filepath.Join(dir, "data"))
	if err != nil {
		return nil, err
	}
	rows, err := func() ([]row, error) {
		if _, err := u.waitReady(ctx); err != nil {
			return nil, err
		}
		if err := u.connect(); err != nil {
			return nil, err
		}
		return measure(u)
	}()
	if err := errors.Join(err, u.stop()); err != nil {
		return nil, err // the log file stays, because the error names it
	}
	return rows, os.RemoveAll(dir)
}
