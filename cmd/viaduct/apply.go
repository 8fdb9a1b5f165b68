package main

import (
	"context"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/cli-runtime/pkg/genericclioptions"
	"k8s.io/cli-runtime/pkg/resource"
)

// fieldManager is the owner of what -f applies. It is kubectl's own name, so that a later `kubectl apply --server-side` of the
// same file goes on where `up -f` left off.
const fieldManager = "kubectl"

// A manifest is text to apply, from a file or from anywhere else.
type manifest struct {
	name string // for messages
	text io.Reader
}

// An applier applies manifests to one API server.
type applier struct {
	getter genericclioptions.RESTClientGetter
	out    io.Writer // one line an object: service/web created
}

// newApplier talks to the server of dataDir's kubeconfig.
func newApplier(dataDir string, out io.Writer) *applier {
	flags := genericclioptions.NewConfigFlags(false)
	path, cache := kubeconfigIn(dataDir), filepath.Join(dataDir, "kubectl-cache")
	flags.KubeConfig, flags.CacheDir = &path, &cache
	return &applier{getter: flags, out: out}
}

// files applies files, directories of files, and, for "-", what stdin holds. It goes on after an error, and returns all.
func (a *applier) files(ctx context.Context, names []string) error {
	return a.apply(ctx, a.builder().FilenameParam(false, &resource.FilenameOptions{Filenames: names}))
}

// manifests applies texts, in the order given.
func (a *applier) manifests(ctx context.Context, all ...manifest) error {
	b := a.builder()
	for _, m := range all {
		b = b.Stream(m.text, m.name)
	}
	return a.apply(ctx, b)
}

func (a *applier) builder() *resource.Builder {
	return resource.NewBuilder(a.getter).Unstructured().ContinueOnError().NamespaceParam(metav1.NamespaceDefault).DefaultNamespace()
}

func (a *applier) apply(ctx context.Context, b *resource.Builder) error {
	return b.Flatten().Do().Visit(func(info *resource.Info, err error) error {
		if err != nil {
			return err
		}
		if ctx.Err() != nil {
			return ctx.Err()
		}
		return a.one(info)
	})
}

// one applies one object and prints what became of it, as kubectl does.
func (a *applier) one(info *resource.Info) error {
	title := fmt.Sprintf("%s/%s", strings.ToLower(info.Mapping.GroupVersionKind.Kind), info.Name)
	data, err := runtime.Encode(unstructured.UnstructuredJSONScheme, info.Object)
	if err != nil {
		return fmt.Errorf("%s: %s: %w", info.Source, title, err)
	}
	helper := resource.NewHelper(info.Client, info.Mapping).WithFieldManager(fieldManager).WithFieldValidation(metav1.FieldValidationStrict)
	before, err := helper.Get(info.Namespace, info.Name)
	if err != nil && !apierrors.IsNotFound(err) {
		return fmt.Errorf("%s: %s: %w", info.Source, title, err)
	}
	found := err == nil
	force := true // the file is what the person wants now; a field set by `kubectl edit` meanwhile gives way
	after, err := helper.Patch(info.Namespace, info.Name, types.ApplyPatchType, data, &metav1.PatchOptions{Force: &force})
	if err != nil {
		return fmt.Errorf("%s: %s: %w", info.Source, title, err)
	}
	_, err = fmt.Fprintf(a.out, "%s %s\n", title, outcome(found, before, after))
	return err
}

// outcome names what an apply did to an object.
func outcome(found bool, before, after runtime.Object) string {
	if !found {
		return "created"
	}
	if resourceVersion(before) == resourceVersion(after) {
		return "unchanged"
	}
	return "configured"
}

func resourceVersion(obj runtime.Object) string {
	m, err := meta.Accessor(obj)
	if err != nil {
		return ""
	}
	return m.GetResourceVersion()
}

// checkFiles refuses names of files that are not there, before anything is started.
func checkFiles(names []string) error {
	stdin := 0
	for _, name := range names {
		if name == "-" {
			stdin++
			continue
		}
		if strings.HasPrefix(name, "http://") || strings.HasPrefix(name, "https://") {
			continue
		}
		if _, err := os.Stat(name); err != nil {
			return fmt.Errorf("reading -f: %w", err)
		}
	}
	if stdin > 1 {
		return fmt.Errorf("-f - is given %d times, but there is one stdin", stdin)
	}
	return nil
}
