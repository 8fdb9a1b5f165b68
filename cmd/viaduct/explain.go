package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"sigs.k8s.io/yaml"

	"viaduct/internal/explain"
	"viaduct/internal/explain/collect"
)

// explainOptions are the flags of `viaduct explain`.
type explainOptions struct {
	from   collectorFlags
	output string
	watch  bool
}

func newExplain(con console) *cobra.Command {
	var o explainOptions
	cmd := &cobra.Command{
		Use:   "explain (service|pod|endpoints)/NAME",
		Short: "Say why a Service has its endpoints, or has none",
		Long: `Reports on a Service, a Pod or an Endpoints object of any Kubernetes API server: which Pods the selector
matches or nearly matches, why each Pod or address gets connections or not, whether Endpoints and EndpointSlices are as
they should be, and what the proxy of this node has applied. The last line is the verdict.

The exit code is 0 if connections are answered and everything is as it should be, 1 if not, and 2 for a wrong usage.
Linked as kubectl-viaduct into the PATH, it is a plugin: kubectl viaduct explain service/web.`,
		Example: `  viaduct explain service/web
  viaduct explain pod/web-1 -n shop
  viaduct explain service/db --probe -o yaml`,
		RunE: func(cmd *cobra.Command, args []string) error {
			kind, name, err := subject(args)
			if err != nil {
				return usageError{cmd.CommandPath(), err}
			}
			ctx, stop := onSignal(cmd.Context(), con.Err)
			defer stop()
			return runExplain(ctx, con, o, kind, name)
		},
	}
	o.from.register(cmd)
	o.output = "text"
	cmd.Flags().VarP(newChoice(&o.output, "text", "json", "yaml"), "output", "o", "how to tell it: text, json or yaml")
	cmd.Flags().BoolVarP(&o.watch, "watch", "w", false, "tell it again whenever it changes, until interrupted")
	cmd.Flags().BoolVar(&o.from.probe, "probe", false, "connect to each address that gets connections, and tell "+
		"which answer")
	return cmd
}

// The kinds that can be explained, and their names on the command line.
const (
	kindService   = "service"
	kindPod       = "pod"
	kindEndpoints = "endpoints"
)

func kindNames() map[string][]string {
	return map[string][]string{
		kindService: {"service", "services", "svc"}, kindPod: {"pod", "pods", "po"}, kindEndpoints: {"endpoints", "endpoint",
			"ep"},
	}
}

// subject parses KIND/NAME, KIND NAME, or NAME alone, which is the name of a Service.
func subject(args []string) (kind, name string, err error) {
	word, name := "service", ""
	switch len(args) {
	case 1:
		if first, second, ok := strings.Cut(args[0], "/"); ok {
			word, name = first, second
		} else {
			name = args[0]
		}
	case 2:
		word, name = args[0], args[1]
	default:
		return "", "", errors.New("say what to explain: service/NAME, pod/NAME or endpoints/NAME")
	}
	for kind, words := range kindNames() {
		if slices.Contains(words, strings.ToLower(word)) && name != "" && !strings.Contains(name, "/") {
			return kind, name, nil
		}
	}
	return "", "", fmt.Errorf("%q cannot be explained: say service/NAME, pod/NAME or endpoints/NAME",
		strings.Join(args, " "))
}

// errUnhealthy only sets the exit code to 1. The report has been printed already.
var errUnhealthy = errors.New("")

const (
	// settling is how long a change may take from one component to the next. Only what deviates for longer is reported.
	settling = 700 * time.Millisecond
	// watchPeriod is how often --watch looks.
	watchPeriod = time.Second
)

func runExplain(ctx context.Context, con console, o explainOptions, kind, name string) error {
	from, err := o.from.open()
	if err != nil {
		return err
	}
	var last []byte
	for {
		report, err := settled(ctx, from, kind, name)
		if o.watch && last != nil && apierrors.IsNotFound(err) {
			report, err = explain.Report{Kind: kind, Namespace: from.Namespace, Name: name, Verdict: "It is gone."}, nil
		}
		if err != nil {
			return err
		}
		told, err := o.render(report)
		if err != nil {
			return err
		}
		if !o.watch {
			if _, err := con.Out.Write(told); err != nil {
				return err
			}
			if !report.Healthy {
				return errUnhealthy
			}
			return nil
		}
		if again := ageless(report); !bytes.Equal(again, last) {
			if last != nil && o.output == "text" {
				fmt.Fprintf(con.Out, "\n--- %s\n\n", time.Now().Format(time.TimeOnly))
			}
			last = again
			if _, err := con.Out.Write(told); err != nil {
				return err
			}
		}
		select {
		case <-ctx.Done():
			return nil
		case <-time.After(watchPeriod):
		}
	}
}

// ageless returns a report as JSON, for a comparison with the previous report. The JSON has times where the text has
// ages, so it does not change merely because time passes.
func ageless(r explain.Report) []byte {
	data, err := json.Marshal(r)
	if err != nil {
		return nil // a report has only strings and numbers
	}
	return data
}

// settled returns the report. If something deviates, it waits for settling and reads the report again, because a change
// may be under way.
func settled(ctx context.Context, from *collect.Collector, kind, name string) (explain.Report, error) {
	report, err := read(ctx, from, kind, name)
	if err != nil || !deviates(report) {
		return report, err
	}
	select {
	case <-ctx.Done():
		return report, nil
	case <-time.After(settling):
	}
	return read(ctx, from, kind, name)
}

func read(ctx context.Context, from *collect.Collector, kind, name string) (explain.Report, error) {
	switch kind {
	case kindPod:
		return from.Pod(ctx, name)
	case kindEndpoints:
		return from.Endpoints(ctx, name)
	}
	return from.Service(ctx, name)
}

func deviates(r explain.Report) bool {
	return slices.ContainsFunc(r.Problems, func(p explain.Problem) bool {
		return slices.Contains([]string{explain.StageEndpoints, explain.StageSlices, explain.StageProxy, explain.StageKernel},
			p.Stage)
	})
}

func (o *explainOptions) render(r explain.Report) ([]byte, error) {
	var out bytes.Buffer
	switch o.output {
	case "json":
		return indented(r)
	case "yaml":
		return yaml.Marshal(r)
	}
	r.Write(&out, time.Now())
	return out.Bytes(), nil
}

func indented(v any) ([]byte, error) {
	data, err := json.MarshalIndent(v, "", "  ")
	return append(data, '\n'), err
}
