package explain

import (
	"cmp"
	"fmt"
	"io"
	"strconv"
	"strings"
	"text/tabwriter"
	"time"

	"k8s.io/apimachinery/pkg/util/duration"
)

// Write writes r as text for a person, the most important part last. Ages are relative to now.
func (r Report) Write(w io.Writer, now time.Time) {
	p := page{w: w, now: now}
	p.line("%s/%s in namespace %s", strings.ToLower(r.Kind), r.Name, r.Namespace)
	for _, line := range r.About {
		p.line("  %s", line)
	}
	p.pods(r)
	p.services(r)
	p.addresses(r)
	p.objects(r)
	p.proxy(r)
	p.probes(r)
	if len(r.Problems) > 1 { // a single problem is in the last line
		rows := [][]string{}
		for _, problem := range r.Problems {
			rows = append(rows, []string{problem.Stage, problem.Sentence})
		}
		p.table("Problems", nil, rows)
	}
	if len(r.Notes) > 0 {
		p.line("\nNotes")
		for _, n := range r.Notes {
			p.line("  %s", n)
		}
	}
	p.line("\n%s", r.Verdict)
}

// page writes a Report. Write errors are ignored here; the owner of the writer sees them.
type page struct {
	w   io.Writer
	now time.Time
}

func (p page) line(format string, args ...any) { fmt.Fprintf(p.w, format+"\n", args...) }

// table writes rows under a title, or nothing if there are none.
func (p page) table(title string, header []string, rows [][]string) {
	if len(rows) == 0 {
		return
	}
	p.line("\n%s", title)
	t := tabwriter.NewWriter(p.w, 0, 0, 3, ' ', 0)
	if header != nil {
		fmt.Fprintln(t, "  "+strings.Join(header, "\t"))
	}
	for _, row := range rows {
		fmt.Fprintln(t, "  "+strings.Join(row, "\t"))
	}
	t.Flush()
}

func (p page) pods(r Report) {
	rows := [][]string{}
	for _, pod := range r.Pods {
		rows = append(rows, []string{pod.Name, yesNo(pod.Listed), yesNo(pod.Ready), pod.Reason, p.age(pod.Since),
			"it " + pod.Sentence})
	}
	p.table("Pods that the selector selects", []string{"POD", "LISTED", "READY", "REASON", "SINCE", "IN WORDS"}, rows)
	rows = nil
	for _, m := range r.Misses {
		rows = append(rows, []string{few(m.Pods), m.Why})
	}
	p.table("Pods that it nearly selects", []string{"POD", "SAYS"}, rows)
}

func (p page) services(r Report) {
	rows := [][]string{}
	for _, s := range r.Services {
		rows = append(rows, []string{s.Name, yesNo(s.Listed), yesNo(s.Ready), s.Reason, "it " + s.Sentence})
	}
	p.table("Services", []string{"SERVICE", "LISTED", "READY", "REASON", "IN WORDS"}, rows)
}

func (p page) addresses(r Report) {
	rows := [][]string{}
	for _, a := range r.Addresses {
		var ports []string
		for _, n := range a.Ports {
			ports = append(ports, strconv.Itoa(n))
		}
		words := "it " + a.Sentence
		if a.Cause != "" {
			words += ": " + a.Cause
		}
		rows = append(rows, []string{a.Address, cmp.Or(strings.Join(ports, ","), "-"), yesNo(a.Ready), a.Reason,
			p.age(a.Since), cmp.Or(a.Pod, "-"), a.From, words})
	}
	p.table("Addresses", []string{"ADDRESS", "PORTS", "READY", "REASON", "SINCE", "POD", "FROM", "IN WORDS"}, rows)
}

func (p page) objects(r Report) {
	rows := [][]string{}
	for _, o := range r.Objects {
		state := "as it should be"
		if o.Wrong != "" {
			state = o.Wrong
		}
		rows = append(rows, []string{o.Object, strconv.Itoa(o.Ready), strconv.Itoa(o.NotReady), o.KeptBy,
			cmp.Or(o.Writer, "-"), p.age(o.Written), state})
	}
	p.table("Endpoints and EndpointSlices", []string{"OBJECT", "READY", "NOT READY", "KEPT BY", "WRITER", "WRITTEN",
		"STATE"}, rows)
}

func (p page) proxy(r Report) {
	if r.Proxy == nil {
		return
	}
	rows := [][]string{}
	for _, place := range r.Proxy.Places {
		outside := place.Outside
		if outside == place.Inside {
			outside = "the same"
		}
		rows = append(rows, []string{place.Place, place.Inside, outside})
	}
	title := fmt.Sprintf("Proxy of node %s, %s", r.Proxy.Node, r.Proxy.Mode)
	if r.Proxy.Applied != nil {
		title += fmt.Sprintf(", applied %s ago", p.age(r.Proxy.Applied))
	}
	p.table(title, []string{"PLACE", "FROM THIS NODE", "FROM ELSEWHERE"}, rows)
	rows = nil
	for _, a := range r.Proxy.Aside {
		rows = append(rows, []string{a.Endpoint, a.Cause, "until " + a.Until.UTC().Format(time.TimeOnly)})
	}
	p.table("Set aside by the proxy", nil, rows)
}

func (p page) probes(r Report) {
	rows := [][]string{}
	for _, probe := range r.Probes {
		rows = append(rows, []string{probe.Address, probe.Answer})
	}
	p.table("Asked just now", nil, rows)
}

func (p page) age(at *time.Time) string {
	if at == nil {
		return "-"
	}
	return duration.HumanDuration(p.now.Sub(*at))
}

func yesNo(b bool) string {
	if b {
		return "yes"
	}
	return "no"
}
