package proxytest

import (
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"syscall"

	"viaduct/internal/routing"
)

// halfClose: the client closes its side first and still gets the answer. In the second part the endpoint closes its
// side first and still gets the question.
func halfClose(w *world) {
	place, second := w.place(), w.place()
	answers := w.endpointWith(func(c *net.TCPConn) {
		got, err := io.ReadAll(c)
		fmt.Fprintf(c, "%s %v", got, err)
	})
	heard := make(chan string, 1)
	listens := w.endpointWith(func(c *net.TCPConn) {
		_ = c.CloseWrite()
		got, err := io.ReadAll(c)
		heard <- fmt.Sprintf("%s %v", got, err)
	})
	w.serve("a", frontend("a", place, routing.TCP, pool(answers.at)))
	w.serve("b", frontend("b", second, routing.TCP, pool(listens.at)))

	c, r, _ := w.open(place)
	w.write(c, "question")
	w.must(c.CloseWrite())
	if got := w.rest(r); got != "question <nil>" {
		w.Errorf("after its end the client got %q", got)
	}

	c, r, _ = w.open(second)
	if got := w.rest(r); got != "" {
		w.Errorf("got %q after the endpoint's end", got)
	}
	w.write(c, "still here")
	w.must(c.CloseWrite())
	if got := <-heard; got != "still here <nil>" {
		w.Errorf("after its end the endpoint got %q", got)
	}
}

// largeTransfer sends in both directions at once. The size is enough for every way of copying that a backend may change
// to.
func largeTransfer(w *world) {
	const size = 24 << 20
	place := w.place()
	e := w.endpoint() // it echoes
	w.serve("a", frontend("a", place, routing.TCP, pool(e.at)))
	c, r, _ := w.open(place)
	sent, got := sha256.New(), sha256.New()
	done := make(chan error, 1)
	go func() {
		_, err := io.CopyN(io.MultiWriter(c, sent), rand.NewChaCha8([32]byte{1}), size)
		done <- errors.Join(err, c.CloseWrite())
	}()
	n, err := io.Copy(got, r)
	w.must(err)
	w.must(<-done)
	if n != size || string(sent.Sum(nil)) != string(got.Sum(nil)) {
		w.Errorf("%d of %d bytes came back, or they differ", n, size)
	}
}

// resets: a reset must not look like a normal end.
func resets(w *world) {
	place, second := w.place(), w.place()
	breaks := w.endpointWith(func(c *net.TCPConn) {
		_, _ = c.Read(make([]byte, 1)) // without this read, the reset may reach the client during connect
		_ = c.SetLinger(0)
	})
	heard := make(chan error, 1)
	listens := w.endpointWith(func(c *net.TCPConn) {
		_, err := io.ReadAll(c)
		heard <- err
	})
	w.serve("a", frontend("a", place, routing.TCP, pool(breaks.at)))
	w.serve("b", frontend("b", second, routing.TCP, pool(listens.at)))

	c, r, _ := w.open(place)
	w.write(c, "!")
	if _, err := io.ReadAll(r); !errors.Is(err, syscall.ECONNRESET) {
		w.Errorf("the endpoint reset the connection; the client got %v", err)
	}
	c, _, _ = w.open(second)
	w.must(c.SetLinger(0))
	w.must(c.Close())
	if err := <-heard; !errors.Is(err, syscall.ECONNRESET) {
		w.Errorf("the client reset the connection; the endpoint got %v", err)
	}
}

// established: the endpoint leaves, then the Service is deleted. The connection continues.
func established(w *world) {
	_, at := w.endpoints(2)
	place := w.place()
	w.serve("a", frontend("a", place, routing.TCP, pool(at[0])))
	c, r, _ := w.open(place)
	for _, change := range []func(){
		func() {},
		func() { w.serve("a", frontend("a", place, routing.TCP, pool(at[1]))) },
		func() { w.serve("a", frontend("a", place, routing.TCP, pool())) },
		func() { w.serve("a") },
	} {
		change()
		w.write(c, "ping\n")
		if got, err := r.ReadString('\n'); got != "ping\n" {
			w.Fatalf("got %q, %v", got, err)
		}
	}
}

func (w *world) write(c *net.TCPConn, text string) {
	w.Helper()
	_, err := c.Write([]byte(text))
	w.must(err)
}

func (w *world) rest(r io.Reader) string {
	w.Helper()
	got, err := io.ReadAll(r)
	w.must(err)
	return string(got)
}

func (w *world) must(err error) {
	w.Helper()
	if err != nil {
		w.Fatal(err)
	}
}
