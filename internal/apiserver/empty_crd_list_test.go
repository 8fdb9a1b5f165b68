package apiserver_test

import (
	"encoding/json"
	"testing"

	"viaduct/internal/apiserver/apitest"
)

func TestEmptyCRDList(t *testing.T) {
	client := apitest.Start(t).Client(t).RESTClient()
	const path = "/apis/apiextensions.k8s.io/v1/customresourcedefinitions"
	data, err := client.Get().AbsPath(path).DoRaw(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	var list struct {
		APIVersion, Kind string
		Items            []any
	}
	if err := json.Unmarshal(data, &list); err != nil {
		t.Fatal(err)
	}
	if list.Kind != "CustomResourceDefinitionList" || list.APIVersion != "apiextensions.k8s.io/v1" || list.Items == nil ||
		len(list.Items) != 0 {
		t.Errorf("not an empty list of definitions: %s", data)
	}
	if err := client.Post().AbsPath(path).Body([]byte("{}")).Do(t.Context()).Error(); err == nil {
		t.Error("a definition can be created")
	}
}
