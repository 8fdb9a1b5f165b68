package validation

import (
	"regexp"
	"slices"
	"strings"

	v1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/util/sets"
	syntax "k8s.io/apimachinery/pkg/util/validation"
	"k8s.io/apimachinery/pkg/util/validation/field"
)

// podSecurity checks the users of a Pod's processes and the namespaces that it shares with the host.
func podSecurity(s *v1.PodSpec, path *field.Path) field.ErrorList {
	errs := hostUsers(s, path)
	sc, path := s.SecurityContext, path.Child("securityContext")
	if sc == nil {
		return errs
	}
	// The field is beside securityContext in v1; upstream's internal type has it inside.
	if s.ShareProcessNamespace != nil && *s.ShareProcessNamespace && s.HostPID {
		errs = append(errs, field.Invalid(path.Child("shareProcessNamespace"), true, "may not be set with hostPID"))
	}
	errs = concat(errs,
		userID(path.Child("runAsUser"), sc.RunAsUser),
		groupID(path.Child("runAsGroup"), sc.RunAsGroup),
		groupID(path.Child("fsGroup"), sc.FSGroup),
		sysctls(s, path.Child("sysctls")),
		seccompProfile(sc.SeccompProfile, path.Child("seccompProfile")),
		appArmorProfile(sc.AppArmorProfile, path.Child("appArmorProfile")),
		optionalOneOf(path.Child("fsGroupChangePolicy"), sc.FSGroupChangePolicy, v1.FSGroupChangeOnRootMismatch,
			v1.FSGroupChangeAlways),
		optionalOneOf(path.Child("supplementalGroupsPolicy"), sc.SupplementalGroupsPolicy,
			v1.SupplementalGroupsPolicyMerge, v1.SupplementalGroupsPolicyStrict),
		optionalOneOf(path.Child("seLinuxChangePolicy"), sc.SELinuxChangePolicy,
			v1.SELinuxChangePolicyRecursive, v1.SELinuxChangePolicyMountOption),
	)
	for i, group := range sc.SupplementalGroups {
		errs = append(errs, groupID(path.Child("supplementalGroups").Index(i), &group)...)
	}
	return errs
}

// hostUsers checks a Pod with its own user namespace, which cannot use the other namespaces of the host. Two paths
// have a capital, as upstream spells them.
func hostUsers(s *v1.PodSpec, path *field.Path) field.ErrorList {
	if s.HostUsers == nil || *s.HostUsers {
		return nil
	}
	var errs field.ErrorList
	forbid := func(shared bool, name string) {
		if shared {
			errs = append(errs, field.Forbidden(path.Child(name), "may not be set when hostUsers is false"))
		}
	}
	forbid(s.HostNetwork, "hostNetwork")
	forbid(s.HostPID, "HostPID")
	forbid(s.HostIPC, "HostIPC")
	return errs
}

func optionalOneOf[T ~string](path *field.Path, value *T, allowed ...T) field.ErrorList {
	if value == nil {
		return nil
	}
	return oneOf(path, *value, allowed...)
}

func userID(path *field.Path, id *int64) field.ErrorList {
	if id == nil {
		return nil
	}
	return invalid(path, *id, syntax.IsValidUserID(*id))
}

func groupID(path *field.Path, id *int64) field.ErrorList {
	if id == nil {
		return nil
	}
	return invalid(path, *id, syntax.IsValidGroupID(*id))
}

// sysctlName is one name or several with dots or slashes between them; each begins and ends with a letter or a digit.
var sysctlName = regexp.MustCompile(`^([a-z0-9]([-_a-z0-9]*[a-z0-9])?[./])*[a-z0-9]([-_a-z0-9]*[a-z0-9])?$`)

const maxSysctlName = 253

func sysctls(s *v1.PodSpec, path *field.Path) field.ErrorList {
	var errs field.ErrorList
	names := sets.New[string]()
	for i, sysctl := range s.SecurityContext.Sysctls {
		at := path.Index(i).Child("name")
		switch {
		case sysctl.Name == "":
			errs = append(errs, field.Required(at, ""))
		case len(sysctl.Name) > maxSysctlName || !sysctlName.MatchString(sysctl.Name):
			errs = append(errs, field.Invalid(at, sysctl.Name, "must be the name of a kernel parameter"))
		case names.Has(sysctl.Name):
			errs = append(errs, field.Duplicate(at, sysctl.Name))
		}
		names.Insert(sysctl.Name)
		errs = append(errs, sysctlOfTheHost(s, sysctl.Name, at)...)
	}
	return errs
}

// sysctlOfTheHost refuses a parameter of a namespace that the Pod shares with the host, since it would change the
// host.
func sysctlOfTheHost(s *v1.PodSpec, name string, path *field.Path) field.ErrorList {
	name = strings.ReplaceAll(name, "/", ".")
	within := func(prefix string) bool { return strings.HasPrefix(name, prefix) }
	ofIPC := slices.Contains([]string{"kernel.sem"}, name) || slices.ContainsFunc([]string{"kernel.shm", "kernel.msg",
		"fs.mqueue."}, within)
	if s.HostNetwork && within("net.") || s.HostIPC && ofIPC {
		return field.ErrorList{field.Invalid(path, name, "would be set for the host")}
	}
	return nil
}

func seccompProfile(p *v1.SeccompProfile, path *field.Path) field.ErrorList {
	if p == nil {
		return nil
	}
	errs := requiredOneOf(path.Child("type"), p.Type,
		v1.SeccompProfileTypeLocalhost, v1.SeccompProfileTypeRuntimeDefault, v1.SeccompProfileTypeUnconfined)
	path = path.Child("localhostProfile")
	switch local := p.Type == v1.SeccompProfileTypeLocalhost; {
	case local && p.LocalhostProfile == nil:
		errs = append(errs, field.Required(path, "for the type Localhost"))
	case local:
		errs = append(errs, within(*p.LocalhostProfile, path)...)
	case p.LocalhostProfile != nil:
		errs = append(errs, field.Invalid(path, *p.LocalhostProfile, "may only be set for the type Localhost"))
	}
	return errs
}

const maxAppArmorProfile = 4095 // the longest path of Linux

func appArmorProfile(p *v1.AppArmorProfile, path *field.Path) field.ErrorList {
	if p == nil {
		return nil
	}
	errs := requiredOneOf(path.Child("type"), p.Type,
		v1.AppArmorProfileTypeLocalhost, v1.AppArmorProfileTypeRuntimeDefault, v1.AppArmorProfileTypeUnconfined)
	path = path.Child("localhostProfile")
	if p.Type != v1.AppArmorProfileTypeLocalhost {
		if p.LocalhostProfile != nil && len(errs) == 0 {
			errs = append(errs, field.Invalid(path, *p.LocalhostProfile, "may only be set for the type Localhost"))
		}
		return errs
	}
	switch name := p.LocalhostProfile; {
	case name == nil || *name == "":
		errs = append(errs, field.Required(path, "for the type Localhost"))
	case strings.TrimSpace(*name) != *name:
		errs = append(errs, field.Invalid(path, *name, "must not begin or end with white space"))
	}
	if p.LocalhostProfile != nil && len(*p.LocalhostProfile) > maxAppArmorProfile {
		errs = append(errs, field.TooLong(path, "", maxAppArmorProfile))
	}
	return errs
}

// containerSecurity checks the security context of a container.
func containerSecurity(sc *v1.SecurityContext, ownUsers bool, path *field.Path) field.ErrorList {
	if sc == nil {
		return nil
	}
	errs := concat(
		userID(path.Child("runAsUser"), sc.RunAsUser),
		groupID(path.Child("runAsGroup"), sc.RunAsGroup),
		optionalOneOf(path.Child("procMount"), sc.ProcMount, v1.DefaultProcMount, v1.UnmaskedProcMount),
		seccompProfile(sc.SeccompProfile, path.Child("seccompProfile")),
		appArmorProfile(sc.AppArmorProfile, path.Child("appArmorProfile")),
	)
	if sc.ProcMount != nil && *sc.ProcMount == v1.UnmaskedProcMount && !ownUsers {
		errs = append(errs, field.Invalid(path.Child("procMount"), *sc.ProcMount,
			"may only be Unmasked when hostUsers is false"))
	}
	if sc.AllowPrivilegeEscalation == nil || *sc.AllowPrivilegeEscalation {
		return errs
	}
	if isTrue(sc.Privileged) {
		errs = append(errs, field.Invalid(path, "", "allowPrivilegeEscalation may not be false when privileged is true"))
	}
	if sc.Capabilities != nil && slices.Contains(sc.Capabilities.Add, "CAP_SYS_ADMIN") {
		errs = append(errs, field.Invalid(path, "", "allowPrivilegeEscalation may not be false when CAP_SYS_ADMIN is added"))
	}
	return errs
}
