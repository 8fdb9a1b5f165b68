package main

import (
	"context"
	"encoding/json"
	"fmt"
	"net"
	"net/http"
	"net/netip"
	"os"
	"os/exec"
	"strconv"
	"sync"
	"syscall"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	v1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"

	"viaduct/internal/annotations"
	"viaduct/internal/healthcheck"
)

// measureByHand measures health checks of many addresses, and the failover when a process behind manual Endpoints is
// killed under load.
func measureByHand(ctx context.Context, b *bench) ([]row, error) {
	n := b.times(10_000, 100)
	r, err := checkMany(ctx, n, b.times(20, 2))
	if err != nil {
		return nil, err
	}
	rows := []row{{fmt.Sprintf("%d addresses checked (tcp, every %v)", n, annotations.DefaultInterval),
		fmt.Sprintf("%.1f %% of a core, %.0f MB more, %.0f questions a second", r.CPU*100, r.Memory, r.Rate),
		"under 5 % of a core"}}
	d, err := killUnderLoad(ctx, b, b.times(5, 1))
	if err != nil {
		return nil, err
	}
	return append(rows,
		row{"a hand-written endpoint is killed with -9 under load: last failed request after", summary(d.LastFailed),
			"under 3 s"},
		row{"requests that fail, of those until it is found", fmt.Sprintf("%.3f %% (%d of %d)",
			100*float64(d.Failed)/float64(max(d.All, 1)), d.Failed, d.All), "under 1 %"},
		row{"from the kill until it is out of rotation; from its start until it is back",
			fmt.Sprintf("%s; %s", summary(d.Out), summary(d.Back)), "under 3 s"}), nil
}

// checked is the cost of checking many addresses.
type checked struct {
	CPU    float64 // of a core
	Memory float64 // MB, more than without
	Rate   float64 // checks per second
}

// insideChecks and insideAnswers are the arguments that make this program run the checks, or the checked servers.
const (
	insideChecks  = "-inside-checks"
	insideAnswers = "-inside-answers"
)

// checkMany checks n loopback addresses for so many seconds in a process of its own. Another process answers at the
// addresses.
func checkMany(ctx context.Context, n, seconds int) (r checked, err error) {
	self, err := os.Executable()
	if err != nil {
		return r, err
	}
	answers := exec.CommandContext(ctx, self, insideAnswers)
	out, err := answers.StdoutPipe()
	if err != nil {
		return r, err
	}
	if err := answers.Start(); err != nil {
		return r, err
	}
	defer func() { _, _ = answers.Process.Kill(), answers.Wait() }()
	var port int
	if _, err := fmt.Fscan(out, &port); err != nil {
		return r, fmt.Errorf("starting what answers: %w", err)
	}
	data, err := exec.CommandContext(ctx, self, insideChecks, strconv.Itoa(n), strconv.Itoa(port),
		strconv.Itoa(seconds)).Output()
	if err != nil {
		return r, fmt.Errorf("checking: %w", err)
	}
	return r, json.Unmarshal(data, &r)
}

// runInsideAnswers accepts connections at every loopback address, and prints the port.
func runInsideAnswers(context.Context, []string) error {
	l, err := net.Listen("tcp4", "0.0.0.0:0")
	if err != nil {
		return err
	}
	fmt.Println(l.Addr().(*net.TCPAddr).Port)
	for {
		conn, err := l.Accept()
		if err != nil {
			return err
		}
		conn.Close()
	}
}

func runInsideChecks(ctx context.Context, args []string) error {
	var numbers [3]int
	for i := range numbers {
		var err error
		if numbers[i], err = strconv.Atoi(args[i]); err != nil {
			return err
		}
	}
	n, port, seconds := numbers[0], numbers[1], time.Duration(numbers[2])*time.Second
	before := resident()
	down := make(chan netip.AddrPort, n)
	c := healthcheck.New(healthcheck.Options{Changed: func(_ []types.NamespacedName, t healthcheck.Target,
		s healthcheck.Status) {
		if !s.Up {
			down <- t.Addr
		}
	}})
	check, err := annotations.ParseCheck("tcp")
	if err != nil {
		return err
	}
	targets := map[healthcheck.Target]bool{}
	for i := range n {
		at := netip.AddrFrom4([4]byte{127, 1, byte(i >> 8), byte(i)})
		targets[healthcheck.Target{Addr: netip.AddrPortFrom(at, uint16(port)), Check: *check}] = true
	}
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	c.SetTargets(types.NamespacedName{Name: "many"}, targets)
	go func() { _ = c.Run(ctx) }() // it ends with the process
	time.Sleep(2 * annotations.DefaultInterval)
	from, asked, began := cpu(), answered(c), time.Now()
	select {
	case at := <-down:
		return fmt.Errorf("%v is found down, and answers", at)
	case <-time.After(seconds):
	}
	took := time.Since(began).Seconds()
	r := checked{CPU: (cpu() - from).Seconds() / took, Memory: resident() - before, Rate: (answered(c) - asked) / took}
	return json.NewEncoder(os.Stdout).Encode(r)
}

// answered returns the number of answers that c has had.
func answered(c *healthcheck.Checker) (sum float64) {
	registry := prometheus.NewRegistry()
	registry.MustRegister(c.Collectors()...)
	families, err := registry.Gather()
	if err != nil {
		return 0
	}
	for _, f := range families {
		for _, m := range f.GetMetric() {
			if f.GetName() == "viaduct_checks_answers_total" {
				sum += m.GetCounter().GetValue()
			}
		}
	}
	return sum
}

// resident returns this process's memory, in MB.
func resident() float64 {
	mb, err := residentOf(os.Getpid())
	if err != nil {
		return 0
	}
	return mb
}

// cpu returns the processor time of this process, in user and kernel mode.
func cpu() time.Duration {
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		return 0
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}

// death is what clients saw when an endpoint was killed.
type death struct {
	LastFailed, Out, Back []time.Duration
	Failed, All           int
}

// killUnderLoad kills some of five processes behind manual Endpoints, one after the other, and starts each again.
func killUnderLoad(ctx context.Context, b *bench, times int) (d death, err error) {
	_, err = with(ctx, b, func(u *up) ([]row, error) {
		d, err = killAndStart(ctx, b, u, times)
		return nil, err
	})
	return d, err
}

func killAndStart(ctx context.Context, b *bench, u *up, times int) (d death, err error) {
	port, err := freePort()
	if err != nil {
		return d, err
	}
	// each process is killed only once, because a flapping endpoint must wait longer before it is back
	ips := []string{"127.0.0.81", "127.0.0.82", "127.0.0.83", "127.0.0.84", "127.0.0.85"}
	programs := map[string]*exec.Cmd{}
	start := func(ip string) error {
		programs[ip] = exec.CommandContext(ctx, b.binary, "echo", "--listen", net.JoinHostPort(ip, strconv.Itoa(port)),
			"--name", ip)
		return programs[ip].Start()
	}
	defer func() {
		for _, p := range programs {
			_, _ = p.Process.Kill(), p.Wait()
		}
	}()
	for _, ip := range ips {
		if err := start(ip); err != nil {
			return d, err
		}
	}
	url, err := u.writeByHand(ctx, port, ips)
	if err != nil {
		return d, err
	}
	for _, ip := range ips[:times] {
		if err := u.awaitByHand(ctx, ip, true); err != nil {
			return d, err
		}
		l := beginAsking(url)
		time.Sleep(200 * time.Millisecond)
		killed := time.Now()
		_, _ = programs[ip].Process.Kill(), programs[ip].Wait()
		err := u.awaitByHand(ctx, ip, false)
		d.Out = append(d.Out, time.Since(killed))
		time.Sleep(200 * time.Millisecond)
		failed, all, last := l.end()
		if err != nil {
			return d, err
		}
		d.Failed, d.All = d.Failed+failed, d.All+all
		d.LastFailed = append(d.LastFailed, max(0, last.Sub(killed)))
		began := time.Now()
		if err := start(ip); err != nil {
			return d, err
		}
		if err := u.awaitByHand(ctx, ip, true); err != nil {
			return d, err
		}
		d.Back = append(d.Back, time.Since(began))
	}
	return d, nil
}

// asking is a steady stream of requests. Each request has a connection of its own.
type asking struct {
	stop        chan struct{}
	done        sync.WaitGroup
	mu          sync.Mutex // protects the following
	failed, all int
	last        time.Time // of the last failure
}

func beginAsking(url string) *asking {
	a := &asking{stop: make(chan struct{})}
	client := &http.Client{Transport: &http.Transport{DisableKeepAlives: true}, Timeout: 5 * time.Second}
	for range 4 {
		a.done.Go(func() {
			for {
				select {
				case <-a.stop:
					return
				default:
				}
				response, err := client.Get(url)
				if err == nil {
					response.Body.Close()
				}
				a.mu.Lock()
				if a.all++; err != nil {
					a.failed, a.last = a.failed+1, time.Now()
				}
				a.mu.Unlock()
			}
		})
	}
	return a
}

func (a *asking) end() (failed, all int, last time.Time) {
	close(a.stop)
	a.done.Wait()
	return a.failed, a.all, a.last
}

// writeByHand creates a Service without a selector and with a health check, and its manual Endpoints. It returns the
// URL of the Service.
func (u *up) writeByHand(ctx context.Context, port int, ips []string) (url string, err error) {
	subset := v1.EndpointSubset{Ports: []v1.EndpointPort{{Port: int32(port)}}}
	for _, ip := range ips {
		subset.Addresses = append(subset.Addresses, v1.EndpointAddress{IP: ip})
	}
	ep := &v1.Endpoints{ObjectMeta: metav1.ObjectMeta{Name: "db"}, Subsets: []v1.EndpointSubset{subset}}
	if _, err := u.client.CoreV1().Endpoints("default").Create(ctx, ep, metav1.CreateOptions{}); err != nil {
		return "", err
	}
	svc, err := u.client.CoreV1().Services("default").Create(ctx, &v1.Service{
		ObjectMeta: metav1.ObjectMeta{Name: "db", Annotations: map[string]string{annotations.HealthCheck: "tcp"}},
		Spec:       v1.ServiceSpec{Ports: []v1.ServicePort{{Port: 80}}},
	}, metav1.CreateOptions{})
	if err != nil {
		return "", err
	}
	return fmt.Sprintf("http://%s:80/", svc.Spec.ClusterIP), nil
}

// awaitByHand waits until the EndpointSlices of db show ip as serving, or as not serving.
func (u *up) awaitByHand(ctx context.Context, ip string, answers bool) error {
	ctx, cancel := context.WithTimeout(ctx, 5*time.Minute)
	defer cancel()
	api := u.client.DiscoveryV1().EndpointSlices("default")
	watch, err := api.Watch(ctx, metav1.ListOptions{LabelSelector: "kubernetes.io/service-name=db"})
	if err != nil {
		return err
	}
	defer watch.Stop()
	for {
		list, err := api.List(ctx, metav1.ListOptions{LabelSelector: "kubernetes.io/service-name=db"})
		if err != nil {
			return err
		}
		for _, s := range list.Items {
			for _, e := range s.Endpoints {
				if e.Addresses[0] == ip && e.Conditions.Serving != nil && *e.Conditions.Serving == answers {
					return nil
				}
			}
		}
		select {
		case <-watch.ResultChan():
		case <-ctx.Done():
			return fmt.Errorf("the slices never say of %s that it answers: %v", ip, answers)
		}
	}
}
