package validation

import (
	"testing"

	v1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"
)

// amounts makes a list of pairs of a name and an amount.
func amounts(pairs ...string) v1.ResourceList {
	list := v1.ResourceList{}
	for i := 0; i < len(pairs); i += 2 {
		list[v1.ResourceName(pairs[i])] = resource.MustParse(pairs[i+1])
	}
	return list
}

func TestContainerResources(t *testing.T) {
	asks := func(requests, limits v1.ResourceList) func(*v1.Pod) {
		return first(func(c *v1.Container) { c.Resources = v1.ResourceRequirements{Requests: requests, Limits: limits} })
	}
	const requests, limits = "spec.containers[0].resources.requests", "spec.containers[0].resources.limits"
	rules(t, validPod, DefaultPod, ValidatePod, []rule[*v1.Pod]{
		{"cpu and memory", asks(amounts("cpu", "500m", "memory", "1Gi"), amounts("cpu", "1", "memory", "1Gi")), ""},
		{"a fraction of a byte is for the warnings", asks(amounts("memory", "500m"), nil), ""},
		{"name, malformed", asks(amounts("a b", "1"), nil), "Invalid " + requests + "[a b]"},
		{"name of nothing", asks(amounts("gpu", "1"), nil), "Invalid " + requests + "[gpu]"},
		{"what nodes have and containers have not", asks(amounts("pods", "1"), nil), "Invalid " + requests + "[pods]"},
		{"native with a domain", asks(amounts("kubernetes.io/a", "1"), nil), ""},
		{"extended", asks(amounts("example.com/gpu", "2"), amounts("example.com/gpu", "2")), ""},
		{"extended, half", asks(nil, amounts("example.com/gpu", "500m")), "Invalid " + requests +
			"[example.com/gpu]\nInvalid " + limits + "[example.com/gpu]"},
		{"extended, without a limit", asks(amounts("example.com/gpu", "1"), nil), "Required " + limits},
		{"extended, below the limit", asks(amounts("example.com/gpu", "1"), amounts("example.com/gpu", "2")),
			"Invalid " + requests},
		{"extended, of quotas", asks(nil, amounts("requests.example.com/gpu", "1")),
			"Invalid " + requests + "[requests.example.com/gpu]\nInvalid " + limits + "[requests.example.com/gpu]"},
		{"huge pages", asks(nil, amounts("cpu", "1", "hugepages-2Mi", "4Mi")), ""},
		{"huge pages alone", asks(nil, amounts("hugepages-2Mi", "4Mi")), "Forbidden spec.containers[0].resources"},
		{"huge pages, in part", asks(nil, amounts("cpu", "1", "hugepages-2Mi", "3Mi")), "Invalid " + requests +
			"[hugepages-2Mi]\nInvalid " + limits + "[hugepages-2Mi]"},
		{"huge pages of no size", asks(nil, amounts("cpu", "1", "hugepages-x", "3Mi")), "Invalid " + requests +
			"[hugepages-x]\nInvalid " + limits + "[hugepages-x]"},
		{"negative", asks(amounts("cpu", "-1"), nil), "Invalid " + requests + "[cpu]"},
		{"above the limit", asks(amounts("cpu", "2"), amounts("cpu", "1")), "Invalid " + requests},
	})
}
