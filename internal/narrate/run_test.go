package narrate

import (
	"bufio"
	"context"
	"io"
	"strings"
	"testing"
	"time"

	v1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes/fake"
)

// The narrator describes the Services that exist, then each change, and ends with its context.
func TestRun(t *testing.T) {
	old := service("10.0.0.1")
	old.Name = "old"
	client := fake.NewClientset(old)
	r, w := io.Pipe()
	lines := bufio.NewScanner(r)
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
	defer cancel()
	ended := make(chan error, 1)
	go func() { ended <- New(client, w).Run(ctx) }()

	expect(t, lines, "service default/old exists: 10.0.0.1")
	if _, err := client.CoreV1().Services("default").Create(ctx, service("10.0.0.2"), metav1.CreateOptions{}); err != nil {
		t.Fatal(err)
	}
	expect(t, lines, "service default/web created: 10.0.0.2")
	if err := client.CoreV1().Services("default").Delete(ctx, "web", metav1.DeleteOptions{}); err != nil {
		t.Fatal(err)
	}
	expect(t, lines, "service default/web deleted")
	cancel()
	if err := <-ended; err != nil {
		t.Errorf("Run: %v, want nil once its context ended", err)
	}
}

func TestTrim(t *testing.T) {
	p := &v1.Pod{ObjectMeta: metav1.ObjectMeta{Annotations: map[string]string{"a": "b"},
		ManagedFields: []metav1.ManagedFieldsEntry{{Manager: "m"}}}}
	if _, err := trim(p); err != nil || len(p.Annotations) != 0 || len(p.ManagedFields) != 0 {
		t.Errorf("trim: %v, left %v %v", err, p.Annotations, p.ManagedFields)
	}
}

func expect(t *testing.T, lines *bufio.Scanner, want string) {
	t.Helper()
	if !lines.Scan() {
		t.Fatalf("ended before %q: %v", want, lines.Err())
	}
	if got := lines.Text(); !strings.HasSuffix(got, "  "+want) {
		t.Fatalf("got %q, want %q after the time of day", got, want)
	}
}
