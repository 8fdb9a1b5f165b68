package validation

import (
	"slices"
	"strings"

	v1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/util/sets"
	"k8s.io/apimachinery/pkg/util/validation/field"
)

// volumeMounts checks the volume mounts of a container. The paths of some errors do not name the mount, as
// upstream's do not.
func volumeMounts(c *v1.Container, volumes volumesByName, at *field.Path) field.ErrorList {
	var errs field.ErrorList
	paths := sets.New[string]()
	for i := range c.VolumeMounts {
		m := &c.VolumeMounts[i]
		errs = concat(errs, mountedVolume(m, volumes, at.Index(i)), subPaths(m, at, i), mountPropagation(m, c, at),
			notDevices(m, c, at.Index(i)))
		if paths.Has(m.MountPath) {
			errs = append(errs, field.Invalid(at.Index(i).Child("mountPath"), m.MountPath, "another volume is mounted there"))
		}
		paths.Insert(m.MountPath)
	}
	return errs
}

func mountedVolume(m *v1.VolumeMount, volumes volumesByName, at *field.Path) field.ErrorList {
	errs := concat(required(at.Child("name"), m.Name, ""), required(at.Child("mountPath"), m.MountPath, ""))
	volume, ok := volumes[m.Name]
	if !ok {
		return append(errs, field.NotFound(at.Child("name"), m.Name))
	}
	if volume.Image != nil && m.SubPath != "" {
		errs = append(errs, field.Invalid(at.Child("subPath"), m.SubPath, "may not be set for an image"))
	}
	if volume.Image != nil && m.SubPathExpr != "" {
		errs = append(errs, field.Invalid(at.Child("subPathExpr"), m.SubPathExpr, "may not be set for an image"))
	}
	return errs
}

func subPaths(m *v1.VolumeMount, at *field.Path, i int) field.ErrorList {
	errs := concat(within(m.SubPath, at.Child("subPath")), within(m.SubPathExpr, at.Child("subPathExpr")))
	if m.SubPath != "" && m.SubPathExpr != "" {
		errs = append(errs, field.Invalid(at.Index(i).Child("subPathExpr"), m.SubPathExpr, "may not be set when subPath is"))
	}
	return errs
}

// mountPropagation checks whether the container and the host see each other's later mounts.
func mountPropagation(m *v1.VolumeMount, c *v1.Container, at *field.Path) field.ErrorList {
	path := at.Child("mountPropagation")
	errs := optionalOneOf(path, m.MountPropagation,
		v1.MountPropagationNone, v1.MountPropagationHostToContainer, v1.MountPropagationBidirectional)
	privileged := c.SecurityContext != nil && isTrue(c.SecurityContext.Privileged)
	if m.MountPropagation != nil && *m.MountPropagation == v1.MountPropagationBidirectional && !privileged {
		errs = append(errs, field.Forbidden(path, "may only be Bidirectional in a privileged container"))
	}
	if m.RecursiveReadOnly == nil || *m.RecursiveReadOnly == v1.RecursiveReadOnlyDisabled {
		return errs
	}
	path = at.Child("recursiveReadOnly")
	if found := oneOf(path, *m.RecursiveReadOnly, v1.RecursiveReadOnlyDisabled, v1.RecursiveReadOnlyIfPossible,
		v1.RecursiveReadOnlyEnabled); len(found) > 0 {
		return append(errs, found...)
	}
	if !m.ReadOnly {
		errs = append(errs, field.Forbidden(path, "may only be set when readOnly is true"))
	}
	if m.MountPropagation != nil && *m.MountPropagation != v1.MountPropagationNone {
		errs = append(errs, field.Forbidden(path, "may only be set when mountPropagation is None"))
	}
	return errs
}

// notDevices refuses a mount of a volume, or at a path, that is a raw device too.
func notDevices(m *v1.VolumeMount, c *v1.Container, at *field.Path) field.ErrorList {
	var errs field.ErrorList
	for _, device := range c.VolumeDevices {
		if device.Name == m.Name {
			errs = append(errs, field.Invalid(at.Child("name"), m.Name, "is among volumeDevices too"))
		}
		if device.DevicePath == m.MountPath {
			errs = append(errs, field.Invalid(at.Child("mountPath"), m.MountPath, "is the path of a device"))
		}
	}
	return errs
}

// volumeDevices checks the raw devices of a container: only persistent volume claims and ephemeral volumes can be
// devices.
func volumeDevices(c *v1.Container, volumes volumesByName, at *field.Path) field.ErrorList {
	var errs field.ErrorList
	names, paths := sets.New[string](), sets.New[string]()
	for i := range c.VolumeDevices {
		d, at := &c.VolumeDevices[i], at.Index(i)
		errs = concat(errs, volumeDevice(d, volumes, at), notMounts(d, c, at))
		if d.Name != "" && names.Has(d.Name) {
			errs = append(errs, field.Invalid(at.Child("name"), d.Name, "must be unique"))
		}
		if paths.Has(d.DevicePath) {
			errs = append(errs, field.Invalid(at.Child("devicePath"), d.DevicePath, "must be unique"))
		}
		names.Insert(d.Name)
		paths.Insert(d.DevicePath)
	}
	return errs
}

func volumeDevice(d *v1.VolumeDevice, volumes volumesByName, at *field.Path) field.ErrorList {
	errs := concat(required(at.Child("name"), d.Name, ""), required(at.Child("devicePath"), d.DevicePath, ""))
	switch volume, ok := volumes[d.Name]; {
	case !ok:
		errs = append(errs, field.NotFound(at.Child("name"), d.Name))
	case volume.PersistentVolumeClaim == nil && volume.Ephemeral == nil:
		errs = append(errs, field.Invalid(at.Child("name"), d.Name, "must be of a persistentVolumeClaim, or ephemeral"))
	}
	if slices.Contains(strings.Split(d.DevicePath, "/"), "..") {
		errs = append(errs, field.Invalid(at.Child("devicePath"), d.DevicePath, "must not go up with '..'"))
	}
	return errs
}

func notMounts(d *v1.VolumeDevice, c *v1.Container, at *field.Path) field.ErrorList {
	var errs field.ErrorList
	for _, mount := range c.VolumeMounts {
		if mount.Name == d.Name {
			errs = append(errs, field.Invalid(at.Child("name"), d.Name, "is among volumeMounts too"))
		}
		if mount.MountPath == d.DevicePath {
			errs = append(errs, field.Invalid(at.Child("devicePath"), d.DevicePath, "is the path of a mount"))
		}
	}
	return errs
}
