package credentials

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"text/tabwriter"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/fields"
	"k8s.io/apimachinery/pkg/util/duration"
	"k8s.io/client-go/kubernetes"

	"viaduct/internal/apiserver/tokens"
)

// List returns a table of all tokens for people, oldest first.
func List(ctx context.Context, api kubernetes.Interface) (string, error) {
	list, err := api.CoreV1().Secrets(tokens.SecretNamespace).List(ctx, metav1.ListOptions{
		FieldSelector: fields.OneTermEqualSelector("type", string(tokens.SecretType)).String(),
	})
	if err != nil {
		return "", fmt.Errorf("listing the tokens: %w", err)
	}
	return table(list.Items, time.Now()), nil
}

func table(secrets []corev1.Secret, now time.Time) string {
	if len(secrets) == 0 {
		return "There are no tokens.\n"
	}
	slices.SortStableFunc(secrets,
		func(a, b corev1.Secret) int { return a.CreationTimestamp.Compare(b.CreationTimestamp.Time) })
	var out strings.Builder
	w := tabwriter.NewWriter(&out, 0, 0, 3, ' ', 0)
	fmt.Fprintln(w, "ID\tUSER\tGROUPS\tAGE\tEXPIRES")
	for i := range secrets {
		g, errs := tokens.Parse(&secrets[i])
		groups := strings.Join(g.Groups, ",")
		if groups == "" {
			groups = "<none>"
		}
		end := "never"
		switch {
		case len(errs) > 0:
			end = "invalid: " + errs.ToAggregate().Error()
		case g.Expired(now):
			end = "expired"
		case !g.Expires.IsZero():
			end = "in " + duration.HumanDuration(g.Expires.Sub(now))
		}
		age := duration.HumanDuration(now.Sub(secrets[i].CreationTimestamp.Time))
		fmt.Fprintf(w, "%s\t%s\t%s\t%s\t%s\n", g.ID, g.User, groups, age, end)
	}
	w.Flush() // cannot fail: it writes to memory
	return out.String()
}

// Revoke deletes a token by its ID. The user's role binding stays.
func Revoke(ctx context.Context, api kubernetes.Interface, id string) error {
	err := api.CoreV1().Secrets(tokens.SecretNamespace).Delete(ctx, tokens.SecretName(id), metav1.DeleteOptions{})
	if apierrors.IsNotFound(err) {
		return fmt.Errorf("there is no token %s", id)
	}
	if err != nil {
		return fmt.Errorf("deleting token %s: %w", id, err)
	}
	return nil
}
