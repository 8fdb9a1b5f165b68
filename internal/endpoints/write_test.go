package endpoints

import (
	"context"
	"errors"
	"testing"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/runtime/schema"
)

func TestWhatIsWorthTelling(t *testing.T) {
	of := schema.GroupResource{Resource: "endpoints"}
	for name, c := range map[string]struct {
		err  error
		want bool
	}{
		"it went well":       {nil, false},
		"a conflict":         {apierrors.NewConflict(of, "web", errors.New("changed")), false},
		"made by another":    {apierrors.NewAlreadyExists(of, "web"), false},
		"stopped":            {context.Canceled, false},
		"not allowed":        {apierrors.NewForbidden(of, "web", errors.New("no")), true},
		"refused as invalid": {apierrors.NewInvalid(schema.GroupKind{Kind: "Endpoints"}, "web", nil), true},
	} {
		t.Run(name, func(t *testing.T) {
			if got := worthTelling(c.err); got != c.want {
				t.Errorf("worth telling: %v, want %v", got, c.want)
			}
		})
	}
}
