package apiserver_test

import (
	"strings"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"viaduct/internal/apiserver"
	"viaduct/internal/apiserver/apitest"
)

// A store over its quota refuses writes with an error that says so, and soon accepts them again by itself.
func TestFullStoreHeals(t *testing.T) {
	const quota = 8 << 20
	client := apitest.StartWith(t, apiserver.Options{DataDir: t.TempDir(), StoreQuota: quota}).Client(t)
	api := client.CoreV1().ConfigMaps("default")
	big := &corev1.ConfigMap{ObjectMeta: metav1.ObjectMeta{Name: "big"}, Data: map[string]string{"big": strings.Repeat("x",
		900_000)}}
	if _, err := api.Create(t.Context(), big, metav1.CreateOptions{}); err != nil {
		t.Fatal(err)
	}
	refused := 0
	for n := range 3 * quota / len(big.Data["big"]) {
		big.Data["n"] = strings.Repeat("y", n)
		_, err := api.Update(t.Context(), big, metav1.UpdateOptions{})
		for start := time.Now(); err != nil; _, err = api.Update(t.Context(), big, metav1.UpdateOptions{}) {
			refused++
			if !apierrors.IsInternalError(err) && !strings.Contains(err.Error(), "space exceeded") {
				t.Fatalf("a full store answers %v", err)
			}
			if time.Since(start) > time.Minute {
				t.Fatalf("the store does not heal: %v", err)
			}
		}
	}
	stored, err := api.Get(t.Context(), "big", metav1.GetOptions{})
	if err != nil || stored.Data["n"] != big.Data["n"] {
		t.Errorf("the last write is lost: %v", err)
	}
	t.Logf("%d writes were refused meanwhile", refused) // none if writing is slower than the compaction
}
