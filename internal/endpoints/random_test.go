package endpoints_test

import (
	"fmt"
	"log/slog"
	"math/rand/v2"
	"net/netip"
	"os"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	v1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/watch"
	"k8s.io/client-go/kubernetes"
	"k8s.io/klog/v2"
	"viaduct/internal/apiserver"
	"viaduct/internal/apiserver/apitest"
)

// What a run is drawn from and how long it is; both may be given, to replay a run or to make a long one.
const (
	seedVariable       = "VIADUCT_SEED"
	operationsVariable = "VIADUCT_OPERATIONS"
)

// quietLimit is how long a controller is given to put all right once nobody disturbs it. It is far more than that
// takes: a watch that was cut is begun again after some seconds.
const quietLimit = 60 * time.Second

// seedOf is the seed that is to be replayed, or another one each time.
func seedOf(t *testing.T) uint64 {
	t.Helper()
	seed := numberFrom(t, seedVariable, rand.Uint64())
	t.Logf("to replay: %s=%d go test -run '^%s$' ./internal/endpoints", seedVariable, seed, t.Name())
	return seed
}

// numberFrom is what an environment variable says, or otherwise.
func numberFrom(t *testing.T, variable string, otherwise uint64) uint64 {
	t.Helper()
	text := os.Getenv(variable)
	if text == "" {
		return otherwise
	}
	n, err := strconv.ParseUint(text, 10, 64)
	if err != nil {
		t.Fatalf("%s: %v", variable, err)
	}
	return n
}

// TestMain keeps the client library's log out of the tests: it tells of every fault that is injected.
func TestMain(m *testing.M) {
	klog.SetSlogLogger(slog.New(slog.DiscardHandler))
	os.Exit(m.Run())
}

// campaign is one run: a real server, an author who changes what is in it, a controller, and faults between the two.
type campaign struct {
	t        *testing.T
	server   *apitest.Server
	client   *kubernetes.Clientset
	rng      *rand.Rand
	author   *author
	faults   *faults
	leader   *process      // the one that works
	standby  *process      // one that would
	launched int           // how many there have been
	changed  chan struct{} // something that a controller writes has been written
}

// newCampaign has no controller yet.
func newCampaign(t *testing.T, seed uint64) *campaign {
	t.Helper()
	server := apitest.StartWith(t, apiserver.Options{DataDir: t.TempDir(), ServiceCIDRs: []netip.Prefix{
		netip.MustParsePrefix("10.96.0.0/16"), netip.MustParsePrefix("fd00:96::/112"),
	}})
	c := &campaign{
		t: t, server: server, client: server.Client(t), rng: rand.New(rand.NewPCG(seed, 3)), faults: newFaults(seed),
		changed: make(chan struct{}, 1),
	}
	c.author = newAuthor(t, c.client, seed)
	namespace := &v1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: otherNamespace}}
	if _, err := c.client.CoreV1().Namespaces().Create(t.Context(), namespace, metav1.CreateOptions{}); err != nil {
		t.Fatal(err)
	}
	c.observe(c.client.CoreV1().Endpoints("").Watch(t.Context(), metav1.ListOptions{}))
	c.observe(c.client.DiscoveryV1().EndpointSlices("").Watch(t.Context(), metav1.ListOptions{}))
	t.Cleanup(c.stop)
	return c
}

// observe tells changed of every event of a watch.
func (c *campaign) observe(events watch.Interface, err error) {
	c.t.Helper()
	if err != nil {
		c.t.Fatal(err)
	}
	c.t.Cleanup(events.Stop)
	go func() {
		for range events.ResultChan() {
			select {
			case c.changed <- struct{}{}:
			default: // it is told already
			}
		}
	}()
}

func (c *campaign) read() stored {
	c.t.Helper()
	s, err := readStored(c.t.Context(), c.client)
	if err != nil {
		c.t.Fatal(err)
	}
	return s
}

// wrong says all that is not as it should be.
func (c *campaign) wrong() []string {
	s := c.read()
	return slices.Concat(unplanned(s), broken(s, c.author.byHand, c.author.foreign))
}

// settle waits until all is right and no write is under way, or until the limit; then it says what is wrong.
func (c *campaign) settle(limit time.Duration) []string {
	late := time.After(limit)
	for {
		wrong, quiet := c.wrong(), c.faults.quiet()
		if len(wrong) == 0 && quiet == nil {
			return nil
		}
		select {
		case <-c.changed:
		case <-quiet:
		case <-late:
			return append(wrong, "writes under way: "+fmt.Sprint(quiet != nil))
		}
	}
}

// drawWeather is fair for a third of the rounds.
func (c *campaign) drawWeather() weather {
	percent := func(most int) int { return c.rng.IntN(2) * c.rng.IntN(most+1) }
	if c.rng.IntN(3) == 0 {
		return weather{slow: 1}
	}
	return weather{conflict: percent(20), refuse: percent(20), lost: percent(20), late: percent(10), slow: percent(20),
		stall: percent(10), gone: percent(3)}
}

// disturb does what becomes of a connection or a process, now and then.
func (c *campaign) disturb() {
	switch n := c.rng.IntN(400); {
	case n < 3:
		c.faults.cut()
	case n < 5:
		c.restart()
	case n < 7:
		c.handOver(n == 6)
	}
}

// run does operations, in rounds, after each of which all has to be right. Most rounds are a few operations in fair
// weather, of which each has to be noticed for itself: among hundreds, what one has failed to tell the controller
// another one tells it.
func (c *campaign) run(count int) {
	c.t.Helper()
	for number := 0; number < count; {
		end, stormy := number+1+c.rng.IntN(3), c.rng.IntN(20) == 0
		if stormy {
			end += 50 + c.rng.IntN(300)
			c.faults.set(c.drawWeather())
		}
		for end = min(end, count); number < end; number++ {
			c.author.step(number)
			c.faults.next()
			if stormy {
				c.disturb()
			}
		}
		c.faults.set(weather{})
		if wrong := c.settle(quietLimit); len(wrong) > 0 {
			c.t.Fatalf("after %d operations:\n%s", number, strings.Join(wrong, "\n"))
		}
		if stormy {
			c.askUpstream(number)
		}
		c.author.round++
	}
}

// askUpstream compares the slices with what the library of Kubernetes would have.
func (c *campaign) askUpstream(number int) {
	c.t.Helper()
	if wrong := disputed(c.t.Context(), c.read(), documentedDifferences()...); len(wrong) > 0 {
		c.t.Fatalf("after %d operations:\n%s", number, strings.Join(wrong, "\n"))
	}
}

// through makes one more Service, and waits until the controller has seen to it: it has then been through all that was
// there before.
func (c *campaign) through() {
	c.t.Helper()
	_, err := c.client.CoreV1().Services(metav1.NamespaceDefault).Create(c.t.Context(), &v1.Service{
		ObjectMeta: metav1.ObjectMeta{Name: "last"},
		Spec:       v1.ServiceSpec{Selector: map[string]string{"nobody": "has"}, Ports: []v1.ServicePort{{Port: 80}}},
	}, metav1.CreateOptions{})
	if err != nil {
		c.t.Fatal(err)
	}
	if wrong := c.settle(quietLimit); len(wrong) > 0 {
		c.t.Fatalf("after a start:\n%s", strings.Join(wrong, "\n"))
	}
}

// checkRestart starts another controller on what is right already: it may not send a single write, whatever that would
// have done.
func (c *campaign) checkRestart() {
	c.t.Helper()
	c.stop()
	c.start()
	name := c.leader.name // what the one before it still had to tell, it may tell: events are sent from the side
	c.through()
	c.stop()
	if writes := c.faults.written(name); len(writes) != 2 {
		c.t.Errorf("after a restart there were %d writes, want those of the Endpoints and the slice of the last Service:\n%s",
			len(writes), strings.Join(writes, "\n"))
	}
}

// TestRandomOperations does some thousand operations in bad weather. To replay a failure, set the variables that it
// prints; what is held up, and for how long, still depends on the scheduling of goroutines.
func TestRandomOperations(t *testing.T) {
	c, count := newCampaign(t, seedOf(t)), int(numberFrom(t, operationsVariable, 1500))
	c.start()
	c.author.populate()
	c.run(count)
	c.checkRestart()
	if idle := c.faults.idle; len(idle) > 0 {
		t.Errorf("%d of %d writes changed nothing: %s", len(idle), len(c.faults.writes), idle[0])
	}
	if count >= 1500 {
		c.author.checkVariety()
	}
}
