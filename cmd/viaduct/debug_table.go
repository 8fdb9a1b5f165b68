package main

import (
	"fmt"
	"io"
	"text/tabwriter"
	"time"

	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/util/duration"

	"viaduct/internal/endpoints"
)

// explainTable writes an explanation for a person.
func explainTable(w io.Writer, e endpoints.Explanation) {
	fmt.Fprintf(w, "service/%s in namespace %s, type %s\n", e.Service, e.Namespace, e.Type)
	if len(e.Selector) > 0 {
		fmt.Fprintf(w, "selector: %s\n", labels.FormatLabels(e.Selector))
	} else {
		fmt.Fprintln(w, "no selector: its Endpoints are written by hand")
	}
	if e.LastError != "" {
		fmt.Fprintf(w, "the last write failed: %s\n", e.LastError)
	}
	fmt.Fprintln(w)
	table := tabwriter.NewWriter(w, 0, 0, 3, ' ', 0)
	fmt.Fprintln(table, "POD\tLISTED\tREADY\tREASON\tSINCE\tIN WORDS")
	for _, p := range e.Pods {
		fmt.Fprintf(table, "%s\t%s\t%s\t%s\t%s\tit %s\n", p.Name, yesNo(p.In), yesNo(p.Ready), p.Reason, age(p.Since), p.Sentence)
	}
	fmt.Fprintln(table, "\nOBJECT\tREADY\tNOT READY\tKEPT BY")
	if e.Endpoints != nil {
		by := "the endpoints controller"
		if e.Endpoints.ByHand {
			by = "a person"
		}
		fmt.Fprintf(table, "endpoints/%s\t%d\t%d\t%s\n", e.Service, e.Endpoints.Ready, e.Endpoints.NotReady, by)
	}
	for _, s := range e.Slices {
		fmt.Fprintf(table, "endpointslice/%s\t%d\t%d\t%s\n", s.Name, s.Ready, s.NotReady, s.ManagedBy)
	}
	table.Flush()
}

func yesNo(b bool) string {
	if b {
		return "yes"
	}
	return "no"
}

func age(since *time.Time) string {
	if since == nil {
		return "-"
	}
	return duration.HumanDuration(time.Since(*since))
}
