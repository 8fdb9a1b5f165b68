package validation

import (
	"testing"

	"github.com/google/go-cmp/cmp"
	v1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

func TestNodeAffinity(t *testing.T) {
	required := func(terms ...v1.NodeSelectorTerm) func(*v1.Pod) {
		return func(p *v1.Pod) {
			p.Spec.Affinity = &v1.Affinity{NodeAffinity: &v1.NodeAffinity{
				RequiredDuringSchedulingIgnoredDuringExecution: &v1.NodeSelector{NodeSelectorTerms: terms}}}
		}
	}
	label := func(key string, op v1.NodeSelectorOperator, values ...string) func(*v1.Pod) {
		return required(v1.NodeSelectorTerm{MatchExpressions: []v1.NodeSelectorRequirement{{Key: key, Operator: op,
			Values: values}}})
	}
	named := func(key string, op v1.NodeSelectorOperator, values ...string) func(*v1.Pod) {
		return required(v1.NodeSelectorTerm{MatchFields: []v1.NodeSelectorRequirement{{Key: key, Operator: op,
			Values: values}}})
	}
	preferred := func(weight int32, value string) func(*v1.Pod) {
		return func(p *v1.Pod) {
			term := v1.NodeSelectorTerm{MatchExpressions: []v1.NodeSelectorRequirement{{Key: "a", Operator: "In",
				Values: []string{value}}}}
			p.Spec.Affinity = &v1.Affinity{NodeAffinity: &v1.NodeAffinity{
				PreferredDuringSchedulingIgnoredDuringExecution: []v1.PreferredSchedulingTerm{{Weight: weight, Preference: term}}}}
		}
	}
	const terms = "spec.affinity.nodeAffinity.requiredDuringSchedulingIgnoredDuringExecution.nodeSelectorTerms"
	const label0, field0 = terms + "[0].matchExpressions[0]", terms + "[0].matchFields[0]"
	rules(t, validPod, DefaultPod, ValidatePod, []rule[*v1.Pod]{
		{"in", label("a", "In", "b", "c"), ""},
		{"in nothing", label("a", "NotIn"), "Required " + label0 + ".values"},
		{"there", label("a", "Exists"), ""},
		{"there with a value", label("a", "DoesNotExist", "b"), "Forbidden " + label0 + ".values"},
		{"more", label("a", "Gt", "5"), ""},
		{"more than two", label("a", "Lt", "5", "6"), "Required " + label0 + ".values"},
		{"operator", label("a", "Like", "b"), "Invalid " + label0 + ".operator"},
		{"key", label("a b", "Exists"), "Invalid " + label0 + ".key"},
		{"value", label("a", "In", "a b"), "Invalid " + label0 + ".values[0]"},
		{"no terms", required(), "Required " + terms},
		{"name", named("metadata.name", "In", "n"), ""},
		{"names", named("metadata.name", "In", "n", "m"), "Required " + field0 + ".values"},
		{"name there", named("metadata.name", "Exists"), "Invalid " + field0 + ".operator"},
		{"another field", named("spec.providerID", "In", "n"), "Invalid " + field0 + ".key"},
		{"name, malformed", named("metadata.name", "NotIn", "A"), "Invalid " + field0 + ".values[0]"},
		{"preferred, of any value", preferred(1, "a b"), ""},
		{"preferred by nothing", preferred(0, "b"),
			"Invalid spec.affinity.nodeAffinity.preferredDuringSchedulingIgnoredDuringExecution[0].weight"},
		{"preferred too much", preferred(101, "b"),
			"Invalid spec.affinity.nodeAffinity.preferredDuringSchedulingIgnoredDuringExecution[0].weight"},
	})
}

func TestPodAffinity(t *testing.T) {
	all := &metav1.LabelSelector{MatchLabels: map[string]string{"app": "web"}}
	near := func(term v1.PodAffinityTerm) func(*v1.Pod) {
		return func(p *v1.Pod) {
			p.Spec.Affinity = &v1.Affinity{PodAffinity: &v1.PodAffinity{
				RequiredDuringSchedulingIgnoredDuringExecution: []v1.PodAffinityTerm{term},
			}}
		}
	}
	const at = "spec.affinity.podAffinity.requiredDuringSchedulingIgnoredDuringExecution[0]"
	bad := &metav1.LabelSelector{MatchLabels: map[string]string{"a": "a b"}}
	rules(t, validPod, DefaultPod, ValidatePod, []rule[*v1.Pod]{
		{"near", near(v1.PodAffinityTerm{TopologyKey: "zone", LabelSelector: all, MatchLabelKeys: []string{"version"},
			Namespaces: []string{"a"}}), ""},
		{"no key", near(v1.PodAffinityTerm{LabelSelector: all}), "Required " + at + ".topologyKey\nInvalid " + at +
			".topologyKey"},
		{"key, malformed", near(v1.PodAffinityTerm{TopologyKey: "a b"}), "Invalid " + at + ".topologyKey"},
		{"selector", near(v1.PodAffinityTerm{TopologyKey: "zone", LabelSelector: bad}), "Invalid " + at +
			".labelSelector.matchLabels"},
		{"selector of namespaces", near(v1.PodAffinityTerm{TopologyKey: "zone", NamespaceSelector: bad}), "Invalid " + at +
			".namespaceSelector.matchLabels"},
		{"namespace", near(v1.PodAffinityTerm{TopologyKey: "zone", Namespaces: []string{"a.b"}}), "Invalid " + at +
			".namespace"},
		{"keys without a selector", near(v1.PodAffinityTerm{TopologyKey: "zone", MatchLabelKeys: []string{"a"}}),
			"Forbidden " + at + ".matchLabelKeys"},
		{"keys both ways", near(v1.PodAffinityTerm{TopologyKey: "zone", LabelSelector: all, MatchLabelKeys: []string{"a"},
			MismatchLabelKeys: []string{"a"}}),
			"Invalid " + at + ".matchLabelKeys[0]"},
		{"keys of the selector", near(v1.PodAffinityTerm{TopologyKey: "zone", MatchLabelKeys: []string{"app"},
			LabelSelector: &metav1.LabelSelector{
				MatchLabels: all.MatchLabels, MatchExpressions: []metav1.LabelSelectorRequirement{{Key: "app",
					Operator: "Exists"}}}}), "Invalid " + at + "[0]"},
		{"keys, malformed", near(v1.PodAffinityTerm{TopologyKey: "zone", LabelSelector: all,
			MismatchLabelKeys: []string{"a b"}}), "Invalid " + at + ".mismatchLabelKeys[0]"},
		{"far by no weight", func(p *v1.Pod) {
			term := v1.WeightedPodAffinityTerm{PodAffinityTerm: v1.PodAffinityTerm{TopologyKey: "zone"}}
			p.Spec.Affinity = &v1.Affinity{PodAntiAffinity: &v1.PodAntiAffinity{
				PreferredDuringSchedulingIgnoredDuringExecution: []v1.WeightedPodAffinityTerm{term},
			}}
		}, "Invalid spec.affinity.podAntiAffinity.preferredDuringSchedulingIgnoredDuringExecution[0].weight"},
		{"far by no key", func(p *v1.Pod) {
			p.Spec.Affinity = &v1.Affinity{PodAntiAffinity: &v1.PodAntiAffinity{
				PreferredDuringSchedulingIgnoredDuringExecution: []v1.WeightedPodAffinityTerm{{Weight: 1}}}}
		}, `Required spec.affinity.podAntiAffinity.preferredDuringSchedulingIgnoredDuringExecution[0].podAffinityTerm.topologyKey
			Invalid spec.affinity.podAntiAffinity.preferredDuringSchedulingIgnoredDuringExecution[0].podAffinityTerm.topologyKey`},
	})
}

func TestSpread(t *testing.T) {
	type constraint = v1.TopologySpreadConstraint
	even := func() constraint {
		return constraint{MaxSkew: 1, TopologyKey: "zone", WhenUnsatisfiable: v1.DoNotSchedule,
			LabelSelector: &metav1.LabelSelector{MatchLabels: map[string]string{"a": "b"}}}
	}
	spread := func(build ...func(*constraint)) func(*v1.Pod) {
		return func(p *v1.Pod) {
			for _, b := range build {
				c := even()
				apply(b, &c)
				p.Spec.TopologySpreadConstraints = append(p.Spec.TopologySpreadConstraints, c)
			}
		}
	}
	const at = "spec.topologySpreadConstraints[0]"
	rules(t, validPod, DefaultPod, ValidatePod, []rule[*v1.Pod]{
		{"even", spread(nil), ""},
		{"skew", spread(func(c *constraint) { c.MaxSkew = 0 }), "Invalid " + at + ".maxSkew"},
		{"no key", spread(func(c *constraint) { c.TopologyKey = "" }), "Required " + at + ".topologyKey"},
		{"otherwise", spread(func(c *constraint) { c.WhenUnsatisfiable = "x" }), "NotSupported " + at + ".whenUnsatisfiable"},
		{"twice", spread(nil, nil), "Duplicate " + at + ".{topologyKey, whenUnsatisfiable}"},
		{"twice, differently", spread(nil, func(c *constraint) { c.WhenUnsatisfiable = v1.ScheduleAnyway }), ""},
		{"domains", spread(func(c *constraint) { c.MinDomains = ptr[int32](2) }), ""},
		{"no domains", spread(func(c *constraint) { c.MinDomains = ptr[int32](0) }), "Invalid " + at + ".minDomains"},
		{"domains anyway", spread(func(c *constraint) {
			c.MinDomains, c.WhenUnsatisfiable = ptr[int32](2),
				v1.ScheduleAnyway
		}), "Invalid " + at + ".minDomains"},
		{"nodes", spread(func(c *constraint) {
			c.NodeAffinityPolicy, c.NodeTaintsPolicy = ptr(v1.NodeInclusionPolicy("x")), ptr(v1.NodeInclusionPolicy("x"))
		}),
			"NotSupported " + at + ".nodeAffinityPolicy\nNotSupported " + at + ".nodeTaintsPolicy"},
		{"selector", spread(func(c *constraint) { c.LabelSelector.MatchLabels["a"] = "a b" }), "Invalid " + at +
			".labelSelector.matchLabels"},
		{"keys", spread(func(c *constraint) { c.MatchLabelKeys = []string{"version"} }), ""},
		{"keys of the selector", spread(func(c *constraint) {
			c.MatchLabelKeys = []string{"a"}
			c.LabelSelector.MatchExpressions = []metav1.LabelSelectorRequirement{{Key: "a", Operator: "Exists"}}
		}), "Invalid " + at + ".matchLabelKeys[0]"},
		{"keys without a selector", spread(func(c *constraint) { c.MatchLabelKeys, c.LabelSelector = []string{"a"}, nil }),
			"Forbidden " + at + ".matchLabelKeys"},
		{"keys, malformed", spread(func(c *constraint) { c.MatchLabelKeys = []string{"a b"} }), "Invalid " + at +
			".matchLabelKeys[0]"},
	})
}

func TestPreparePodCreate(t *testing.T) {
	pod := validPod()
	pod.Labels = map[string]string{"app": "web", "version": "2"}
	selector := func() *metav1.LabelSelector {
		return &metav1.LabelSelector{MatchLabels: map[string]string{"tier": "front"}}
	}
	term := func() v1.PodAffinityTerm {
		return v1.PodAffinityTerm{TopologyKey: "zone", LabelSelector: selector(), MatchLabelKeys: []string{"version",
			"absent"}, MismatchLabelKeys: []string{"app"}}
	}
	pod.Spec.TopologySpreadConstraints = []v1.TopologySpreadConstraint{
		{MaxSkew: 1, TopologyKey: "zone", WhenUnsatisfiable: v1.DoNotSchedule, LabelSelector: selector(),
			MatchLabelKeys: []string{"version"}}}
	pod.Spec.Affinity = &v1.Affinity{
		PodAffinity: &v1.PodAffinity{RequiredDuringSchedulingIgnoredDuringExecution: []v1.PodAffinityTerm{term()}},
		PodAntiAffinity: &v1.PodAntiAffinity{
			PreferredDuringSchedulingIgnoredDuringExecution: []v1.WeightedPodAffinityTerm{{Weight: 1, PodAffinityTerm: term()}}},
	}
	DefaultPod(pod)
	PreparePodCreate(pod)
	like := metav1.LabelSelectorRequirement{Key: "version", Operator: "In", Values: []string{"2"}}
	unlike := metav1.LabelSelectorRequirement{Key: "app", Operator: "NotIn", Values: []string{"web"}}
	for name, tt := range map[string]struct {
		got  *metav1.LabelSelector
		want []metav1.LabelSelectorRequirement
	}{
		"spread": {pod.Spec.TopologySpreadConstraints[0].LabelSelector, []metav1.LabelSelectorRequirement{like}},
		"near": {pod.Spec.Affinity.PodAffinity.RequiredDuringSchedulingIgnoredDuringExecution[0].LabelSelector,
			[]metav1.LabelSelectorRequirement{like, unlike}},
		"far": {pod.Spec.Affinity.PodAntiAffinity.
			PreferredDuringSchedulingIgnoredDuringExecution[0].PodAffinityTerm.LabelSelector,
			[]metav1.LabelSelectorRequirement{like, unlike}},
	} {
		if diff := cmp.Diff(tt.want, tt.got.MatchExpressions); diff != "" {
			t.Errorf("%s (-want +got):\n%s", name, diff)
		}
	}
	expect(t, ValidatePod(pod), "")
}
