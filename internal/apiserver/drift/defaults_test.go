package drift

import (
	"reflect"
	"strings"
	"testing"
)

// notFilled are the fields that have a default in the library and none in Viaduct, by type, with the reason.
var notFilled = map[string]string{
	"AzureDiskVolumeSource": noDisks, "ISCSIVolumeSource": noDisks, "RBDVolumeSource": noDisks,
	"ScaleIOVolumeSource": noDisks,
}

const noDisks = "no part of Viaduct mounts such a volume"

// missingDefault says how the default that a marker declares differs from what Viaduct fills in, or "". A default that
// is the zero value of the field needs no code. filled is JSON.
func missingDefault(marker, filled string, typ reflect.Type) string {
	want, ok := strings.CutPrefix(marker, "+default=")
	if !ok || filled == want {
		return ""
	}
	if typ.Kind() != reflect.Pointer && filled == "" && want == asJSON(reflect.Zero(typ).Interface()) {
		return ""
	}
	return "the library declares " + marker + ", and Viaduct fills in " + strings.TrimSpace(filled+" ")
}

// TestDefaults compares the defaults that the library declares with what Viaduct's defaulting does.
func TestDefaults(t *testing.T) {
	fills := fillsOf(t)
	found := 0
	for path, types := range servedStructs() {
		source := readSource(t, sourceOf(t, path))
		for _, typ := range types {
			if notFilled[typ.Name()] != "" {
				continue
			}
			for i := range typ.NumField() {
				f := typ.Field(i)
				for _, marker := range source.fields[typ.Name()+"."+f.Name].markers {
					if strings.HasPrefix(marker, "+default=") {
						found++
					}
					if wrong := missingDefault(marker, fills[typ.String()+"."+f.Name], f.Type); wrong != "" {
						t.Errorf("%s.%s: %s", typ, f.Name, wrong)
					}
				}
			}
		}
	}
	if found == 0 {
		t.Error("the library declares no default at all: the comments of types.go have another form")
	}
}
