package apiserver

import (
	"encoding/json"
	"net/http"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	genericapiserver "k8s.io/apiserver/pkg/server"
)

// definitionsPath is where a Kubernetes API server lists the kinds that its users defined.
const definitionsPath = "/apis/apiextensions.k8s.io/v1/customresourcedefinitions"

// serveNoDefinitions answers that there are no custom resources. kubectl looks there before it creates an object of a
// kind that can only be created, such as a TokenReview, and gives up if the list is not served.
func serveNoDefinitions(server *genericapiserver.GenericAPIServer) {
	list := struct {
		metav1.TypeMeta `json:",inline"`
		metav1.ListMeta `json:"metadata"`
		Items           []struct{} `json:"items"`
	}{TypeMeta: metav1.TypeMeta{APIVersion: "apiextensions.k8s.io/v1", Kind: "CustomResourceDefinitionList"},
		Items: []struct{}{}}
	server.Handler.NonGoRestfulMux.HandleFunc(definitionsPath, func(w http.ResponseWriter, r *http.Request) {
		if r.Method != http.MethodGet {
			w.WriteHeader(http.StatusMethodNotAllowed)
			return
		}
		w.Header().Set("Content-Type", "application/json")
		_ = json.NewEncoder(w).Encode(list) // who has gone needs no answer
	})
}
