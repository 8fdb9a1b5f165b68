package test

import (
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"

	v1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

func TestSecondUpIsRefused(t *testing.T) {
	t.Parallel()
	h := newHost(t)
	first := h.start()
	defer h.stop(first)
	second := runViaduct(t, "", append([]string{"up", "--data-dir", h.dir, "--listen", "127.0.0.1:0"},
		h.addresses.Flags()...)...)
	want := fmt.Sprintf("is held by process %d ", first.cmd.Process.Pid)
	if second.code != 1 || !strings.Contains(second.stderr, want) || !strings.Contains(second.stderr,
		first.cmd.Path+" up") {
		t.Errorf("the second exits %d and says %q, want 1 and %q with the command", second.code, second.stderr, want)
	}
	if got := h.kubectl("get", "--raw", "/readyz"); got != "ok" {
		t.Errorf("the first is not ready any more: %q", got)
	}
}

// What a restart must keep, as one line an object.
func (h *host) remembered() map[string]string {
	h.t.Helper()
	kept := map[string]string{}
	for kind, fields := range map[string]string{
		"services":       "{.metadata.uid} {.spec.clusterIP} {.spec.ports[*].port} {.metadata.resourceVersion}",
		"configmaps":     "{.metadata.uid} {.data} {.metadata.resourceVersion}",
		"pods":           "{.metadata.uid} {.spec.nodeName}",
		"endpoints":      "{.metadata.uid}",
		"endpointslices": "{.metadata.uid}",
		"nodes":          "{.metadata.uid}",
	} {
		out := h.kubectl("get", kind, "-o", "jsonpath={range .items[*]}{.metadata.name} "+fields+"{\"\\n\"}{end}")
		for line := range strings.Lines(out) {
			name, rest, _ := strings.Cut(strings.TrimSpace(line), " ")
			if name != "kubernetes" { // it is about this server, which may have another port now
				kept[kind+"/"+name] = rest
			}
		}
	}
	return kept
}

func TestRestartFindsEverything(t *testing.T) {
	t.Parallel()
	h := newHost(t)
	first := h.start()
	port := outsiders(t, "outsider-a", "outsider-b")
	h.kubectl("apply", "-f", quickstart(t, port))
	h.kubectl("create", "configmap", "kept", "--from-literal=key=value")
	h.wantQuickstart(port)
	before := h.remembered()
	h.stop(first)

	second := h.start()
	for _, name := range []string{"hello-1", "hello-2", "hello-3"} {
		h.awaitRun(name, 1)
	}
	h.wantQuickstart(port)
	if after := h.remembered(); !maps.Equal(before, after) {
		t.Errorf("before %v\nafter %v", before, after)
	}
	h.stop(second)
}

// awaitRun waits until a Pod is ready after so many restarts, and requires that it is one process.
func (h *host) awaitRun(name string, restarts int32) *v1.Pod {
	h.t.Helper()
	pod := h.awaitPod(name, func(p *v1.Pod) bool {
		return podReady(p) && len(p.Status.ContainerStatuses) == 1 && p.Status.ContainerStatuses[0].RestartCount == restarts
	})
	if pids := h.podProcesses(string(pod.UID)); len(pids) != 1 {
		h.t.Errorf("pod %s is %d processes: %s", name, len(pids), describeAll(pids))
	}
	return pod
}

// SIGTERM stops Pods gracefully: they hear of it, and may take a moment.
func TestStopIsGraceful(t *testing.T) {
	t.Parallel()
	h := newHost(t)
	r := h.start()
	said := filepath.Join(t.TempDir(), "said")
	h.apply(fmt.Sprintf(`
apiVersion: v1
kind: Pod
metadata: {name: polite}
spec:
  containers:
    - name: main
      image: any
      command: [sh, -c, 'trap "echo goodbye >%s; exit 0" TERM; touch %[1]s; while :; do sleep 0.05; done']
      readinessProbe: {exec: {command: [test, -e, %[1]s]}, periodSeconds: 1}
`, said))
	h.waitFor("--for=condition=Ready", "pod", "polite")
	h.stop(r)
	if text, err := os.ReadFile(said); err != nil || string(text) != "goodbye\n" {
		t.Errorf("the Pod wrote %q, %v: it was not asked to end", text, err)
	}
}

// A killed viaduct leaves no process that holds a Pod's port, and what it had acknowledged is there at the next start.
func TestKilledUnderWriteLoad(t *testing.T) {
	t.Parallel()
	rounds := 10
	if testing.Short() {
		rounds = 3
	}
	h := newHost(t)
	load := &writeLoad{}
	for round := range rounds {
		r := h.start()
		if round == 0 {
			h.apply(echoPod("survivor"))
		}
		h.wantWritten(load)
		h.awaitRun("survivor", int32(round)) // its status of the time before would say that it is ready, too
		h.killWhileWriting(r, load, round)
		eventually(t, "after kill -9", h.leftovers)
	}
	last := h.start()
	h.wantWritten(load)
	h.stop(last)
}

// A writeLoad remembers which writes the server has acknowledged.
type writeLoad struct {
	mu           sync.Mutex
	acknowledged []string // guarded by mu; names of ConfigMaps
}

func (w *writeLoad) add(name string) int {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.acknowledged = append(w.acknowledged, name)
	return len(w.acknowledged)
}

// killWhileWriting has four writers create ConfigMaps, and kills viaduct in the midst of it, each round at another
// moment.
func (h *host) killWhileWriting(r *running, load *writeLoad, round int) {
	h.t.Helper()
	client := h.client().CoreV1().ConfigMaps(metav1.NamespaceDefault)
	var writers sync.WaitGroup
	var kill sync.Once
	var written atomic.Int32
	for writer := range 4 {
		writers.Go(func() {
			for n := 0; ; n++ {
				name := fmt.Sprintf("round-%d-writer-%d-%d", round, writer, n)
				if _, err := client.Create(h.t.Context(), &v1.ConfigMap{ObjectMeta: metav1.ObjectMeta{Name: name}},
					metav1.CreateOptions{}); err != nil {
					return // it is dead; whether this write counts is open
				}
				load.add(name)
				if written.Add(1) >= int32(20+7*round) {
					kill.Do(func() { r.signal(syscall.SIGKILL) })
				}
			}
		})
	}
	writers.Wait()
	if code := r.wait(); code != -1 {
		h.t.Errorf("round %d: exit %d, want the kill; only %d writes were acknowledged:\n%s", round, code, written.Load(),
			r.out.text())
	}
}

func (h *host) wantWritten(load *writeLoad) {
	h.t.Helper()
	list, err := h.client().CoreV1().ConfigMaps(metav1.NamespaceDefault).List(h.t.Context(), metav1.ListOptions{})
	if err != nil {
		h.t.Fatal(err)
	}
	there := map[string]bool{}
	for _, item := range list.Items {
		there[item.Name] = true
	}
	lost := slices.DeleteFunc(slices.Clone(load.acknowledged), func(name string) bool { return there[name] })
	if len(lost) > 0 {
		h.t.Errorf("%d of %d acknowledged writes are lost: %v", len(lost), len(load.acknowledged), lost)
	}
}
