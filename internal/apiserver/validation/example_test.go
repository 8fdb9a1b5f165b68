package validation_test

import (
	"fmt"

	v1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"viaduct/internal/apiserver/validation"
)

// A write passes defaulting first and validation afterwards. Errors name the field.
func ExampleValidateEndpoints() {
	endpoints := &v1.Endpoints{
		ObjectMeta: metav1.ObjectMeta{Namespace: "shop", Name: "cart"},
		Subsets: []v1.EndpointSubset{{
			Addresses: []v1.EndpointAddress{{IP: "127.0.0.1"}},
			Ports:     []v1.EndpointPort{{Port: 8080}},
		}},
	}
	validation.DefaultEndpoints(endpoints)
	fmt.Println("protocol:", endpoints.Subsets[0].Ports[0].Protocol)
	for _, err := range validation.ValidateEndpoints(endpoints, validation.Options{}) {
		fmt.Println(err.Type, "at", err.Field)
	}
	fmt.Println("errors in the loopback mode:",
		len(validation.ValidateEndpoints(endpoints, validation.Options{AllowLoopback: true})))
	// Output:
	// protocol: TCP
	// Invalid value at subsets[0].addresses[0].ip
	// errors in the loopback mode: 0
}
