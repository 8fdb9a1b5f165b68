package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/netip"
	"net/url"
	"slices"
	"strings"
	"syscall"
	"time"

	"github.com/spf13/cobra"

	"viaduct/internal/explain/collect"
	"viaduct/internal/proxy"
	"viaduct/internal/routing"
)

func newTrace(con console) *cobra.Command {
	var flags collectorFlags
	var output, proto, node string
	cmd := &cobra.Command{
		Use:   "trace CLIENT-IP [to] ADDRESS:PORT",
		Short: "Tell what would happen to a connection on this node, and why",
		Long: `Shows what would happen to a connection from a client's address to an address and port on this node: which Service
takes the connection, which endpoints may get it, whether they see the client's address, and by which rule. The answer
comes from this node's proxy. Without a proxy, it is computed from the API server's objects, as the proxy of --node
would do it. The client "node" is this node itself.`,
		Example: `  viaduct trace 10.244.0.7 to 10.96.0.10:80
  viaduct trace 192.0.2.1 → 192.168.1.5:30080
  viaduct trace node 10.96.0.10:53 --protocol UDP`,
		RunE: func(cmd *cobra.Command, args []string) error {
			from, to, err := endsOf(args)
			if err != nil {
				return usageError{cmd.CommandPath(), err}
			}
			var p routing.Proto
			if err := p.UnmarshalText([]byte(proto)); err != nil {
				return err // the flag allows nothing else
			}
			t, node, err := trace(cmd.Context(), flags, from, to, p, node)
			if err != nil {
				return err
			}
			if output == "json" {
				data, err := indented(t)
				if err == nil {
					_, err = con.Out.Write(data)
				}
				return err
			}
			tellTrace(con.Out, t, node, from, routing.Dest{Addr: to, Proto: p})
			if !t.Found || len(t.Pool.Backends) == 0 {
				return errUnhealthy
			}
			return nil
		},
	}
	flags.register(cmd)
	output, proto = "text", "TCP"
	cmd.Flags().VarP(newChoice(&output, "text", "json"), "output", "o", "how to tell it: text or json")
	cmd.Flags().Var(newChoice(&proto, "TCP", "UDP", "SCTP"), "protocol", "TCP, UDP or SCTP")
	registerNodeName(cmd.Flags(), &node)
	return cmd
}

// endsOf parses the client's address (invalid: this node) and the address that it connects to.
func endsOf(args []string) (from netip.Addr, to netip.AddrPort, err error) {
	ends := slices.DeleteFunc(slices.Clone(args), func(a string) bool {
		return slices.Contains([]string{"to", "→", "->"},
			a)
	})
	if len(ends) != 2 {
		return from, to, errors.New("say where the connection comes from and where it goes: CLIENT-IP ADDRESS:PORT")
	}
	if ends[0] != "node" {
		if from, err = netip.ParseAddr(ends[0]); err != nil {
			return from, to, fmt.Errorf("the client: %w", err)
		}
	}
	if to, err = netip.ParseAddrPort(ends[1]); err != nil {
		return from, to, fmt.Errorf("the place it goes to: %w", err)
	}
	return from, to, nil
}

// trace asks the proxy, or computes the result from the API. node is the node of the proxy; "" means this node.
func trace(ctx context.Context, flags collectorFlags, from netip.Addr, to netip.AddrPort, proto routing.Proto,
	node string) (t proxy.Trace, who string, err error) {
	query := url.Values{"to": {to.String()}, "proto": {proto.String()}}
	if from.IsValid() {
		query.Set("from", from.String())
	}
	if flags.proxy != "" {
		err = collect.GetJSON(ctx, flags.proxy+"/debug/trace?"+query.Encode(), &t)
		if err == nil {
			return t, "by this node's proxy", nil
		}
		if !errors.Is(err, syscall.ECONNREFUSED) && !errors.Is(err, collect.ErrNotViaduct) {
			return t, "", fmt.Errorf("asking the proxy at %s: %w", flags.proxy, err)
		}
	}
	if node, err = orHostName(node); err != nil {
		return t, "", err
	}
	server, err := flags.open()
	if err != nil {
		return t, "", err
	}
	t, err = server.Trace(ctx, from, to, proto, node)
	return t, fmt.Sprintf("computed for node %s, for no proxy of Viaduct answers at %s", node, flags.proxy), err
}

// tellTrace prints a trace as text.
func tellTrace(w io.Writer, t proxy.Trace, who string, from netip.Addr, to routing.Dest) {
	client := "This node"
	if from.IsValid() {
		client = from.String()
	}
	fmt.Fprintf(w, "%s → %s (%s)\n\n", client, to, who)
	if !t.Found {
		fmt.Fprintln(w, "No Service answers there: the connection goes where it would without a proxy.")
		return
	}
	f, pool := t.Frontend, t.Pool
	fmt.Fprintf(w, "Service     %s, its %s\n", f.Service, f.Kind)
	where := "this node or its Pods"
	if t.Outside {
		where = "elsewhere"
	}
	fmt.Fprintf(w, "comes from  %s\n", where)
	if f.Affinity > 0 {
		fmt.Fprintf(w, "affinity    the endpoint that it had within %v, if that still serves\n",
			f.Affinity.Round(time.Second))
	}
	if len(pool.Backends) == 0 {
		verb := map[routing.Action]string{routing.Reject: "refused at once", routing.Drop: "dropped in silence"}[pool.Empty]
		fmt.Fprintf(w, "\nIt is %s: %s.\n", verb, pool.Why.Sentence())
		return
	}
	fmt.Fprintf(w, "rule        %s\n", pool.Why.Sentence())
	fmt.Fprintf(w, "policy      %s: %s\n", t.Policy, t.Policy.Sentence())
	if t.Degraded != "" {
		fmt.Fprintf(w, "            the Service asks for %s, which is not served on this node, because %s\n", f.Policy,
			t.Degraded)
	}
	fmt.Fprintf(w, "\n%s:\n", t.Choice(from))
	for _, b := range pool.Backends {
		words := append(t.Share(b), sight(pool, t, from, b)...)
		fmt.Fprintf(w, "  %-24s %s\n", b.Addr, strings.Join(words, ", "))
	}
}

// sight describes where an endpoint is, and which address it sees for the client.
func sight(pool routing.Pool, t proxy.Trace, from netip.Addr, b routing.Backend) (words []string) {
	if b.Local {
		words = append(words, "on this node")
	}
	if pool.Hides(routing.Origin{Addr: from, Outside: t.Outside}, b) {
		return append(words, "sees an address of this node as the client's")
	}
	return append(words, "sees the client's address")
}
