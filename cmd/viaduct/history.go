package main

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"
	apierrors "k8s.io/apimachinery/pkg/api/errors"

	"viaduct/internal/controllermanager"
	"viaduct/internal/history"
)

func newHistory(con console) *cobra.Command {
	var from collectorFlags
	var output string
	var controller controllerAccess
	var since time.Duration
	cmd := &cobra.Command{
		Use:   "history service/NAME",
		Short: "List every change of the addresses behind a Service, and why",
		Long: `Lists every change of the addresses behind a Service: when, which address, why, and by which write. The controllers
record it: those of 'viaduct up' keep 16 MiB across restarts. 'viaduct controller' answers at its --secure-port; the
caller needs the right to get ` + controllermanager.HistoryPath + `*. The certificate of the controller is
verified, except on a loopback address.`,
		Example: `  viaduct history service/web
  viaduct history service/web -n shop --since 1h
  viaduct history service/web --controller https://127.0.0.1:10267 --token "$(kubectl create token asker)"`,
		RunE: func(cmd *cobra.Command, args []string) error {
			kind, name, err := subject(args)
			if err == nil && kind == kindPod {
				err = errors.New("only a Service has a history: say service/NAME")
			}
			if err != nil {
				return usageError{cmd.CommandPath(), err}
			}
			changes, err := readHistory(cmd.Context(), from, name, controller)
			if err != nil {
				return err
			}
			return tellHistory(con.Out, changes, output, since)
		},
	}
	from.register(cmd)
	output = "text"
	cmd.Flags().VarP(newChoice(&output, "text", "json"), "output", "o", "how to tell it: text or json")
	cmd.Flags().StringVar(&controller.url, "controller", "", "URL of the 'viaduct controller' that is asked (default: "+
		"the API server, which is that of 'viaduct up')")
	cmd.Flags().StringVar(&controller.caFile, "controller-ca", "", "PEM file with the certificates that sign the one of "+
		"--controller (default: the system's; on a loopback address none is verified)")
	cmd.Flags().StringVar(&controller.token, "token", "", "bearer token for --controller")
	cmd.Flags().DurationVar(&since, "since", 0, "only what happened within this time (default: all)")
	return cmd
}

// readHistory reads from the controller of --controller, or from the API server.
func readHistory(ctx context.Context, from collectorFlags, name string, controller controllerAccess) (
	changes []history.Change, err error) {
	server, err := from.open()
	if err != nil {
		return nil, err
	}
	path := controllermanager.HistoryPath + server.Namespace + "/" + name
	var data []byte
	if controller.url != "" {
		data, err = controller.get(ctx, path)
	} else {
		data, err = server.API.CoreV1().RESTClient().Get().AbsPath(path).DoRaw(ctx)
		if apierrors.IsNotFound(err) {
			return nil, errors.New("this API server keeps no history: name a 'viaduct controller' by --controller")
		}
		if apierrors.IsForbidden(err) {
			return nil, fmt.Errorf("asking for the history: forbidden: it takes the right to get the path %s", path)
		}
	}
	if err != nil {
		return nil, fmt.Errorf("asking for the history: %w", err)
	}
	if err := json.Unmarshal(data, &changes); err != nil {
		return nil, fmt.Errorf("reading the answer: %w", err)
	}
	return changes, nil
}

func tellHistory(out io.Writer, changes []history.Change, output string, since time.Duration) error {
	kept := []history.Change{}
	for _, c := range changes {
		if since == 0 || time.Since(c.Time) <= since {
			kept = append(kept, c)
		}
	}
	if output == "json" {
		data, err := indented(kept)
		if err == nil {
			_, err = out.Write(data)
		}
		return err
	}
	if len(kept) == 0 {
		fmt.Fprintln(out, "Nothing has changed, as far as is known.")
		return nil
	}
	t := tabwriter.NewWriter(out, 0, 0, 3, ' ', 0)
	fmt.Fprintln(t, "TIME\tADDRESS\tWHAT\tWHY\tWRITE\tWRITER")
	for _, c := range kept {
		fmt.Fprintf(t, "%s\t%s\t%s\t%s\t%s\t%s\n", c.Time.Local().Format("2006-01-02 15:04:05.000"), c.Address, whatText(c),
			cmp.Or(c.Reason, "-"), writeText(c), cmp.Or(c.Writer, "-"))
	}
	return t.Flush()
}

func whatText(c history.Change) string {
	text := c.What
	if c.State != "" && c.State != history.Ready {
		text += ", " + c.State
	}
	if c.Unseen {
		text += " (while nobody watched)"
	}
	return text
}

func writeText(c history.Change) string {
	if c.Version == "" {
		return cmp.Or(c.Object, "-")
	}
	return c.Object + " at " + c.Version
}
