package validation

import (
	v1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/util/intstr"
	syntax "k8s.io/apimachinery/pkg/util/validation"
	"k8s.io/apimachinery/pkg/util/validation/field"
)

func hooksAndProbes(c *v1.Container, rules *containerRules, path *field.Path) field.ErrorList {
	errs := concat(
		probe(c.LivenessProbe, path.Child("livenessProbe")),
		probe(c.ReadinessProbe, path.Child("readinessProbe")),
		probe(c.StartupProbe, path.Child("startupProbe")),
		oneSuccess(c.LivenessProbe, path.Child("livenessProbe")),
		oneSuccess(c.StartupProbe, path.Child("startupProbe")),
	)
	if p := c.ReadinessProbe; p != nil && p.TerminationGracePeriodSeconds != nil {
		errs = append(errs, field.Invalid(path.Child("readinessProbe", "terminationGracePeriodSeconds"),
			*p.TerminationGracePeriodSeconds, "may not be set: failing this probe ends nothing"))
	}
	if c.Lifecycle != nil {
		errs = append(errs, hook(c.Lifecycle.PostStart, rules, path.Child("lifecycle", "postStart"))...)
		errs = append(errs, hook(c.Lifecycle.PreStop, rules, path.Child("lifecycle", "preStop"))...)
	}
	return errs
}

func probe(p *v1.Probe, path *field.Path) field.ErrorList {
	if p == nil {
		return nil
	}
	errs := concat(
		handlers(path, []handler{
			{"exec", p.Exec != nil, func(at *field.Path) field.ErrorList { return execAction(p.Exec, at) }},
			{"httpGet", p.HTTPGet != nil, func(at *field.Path) field.ErrorList { return httpGet(p.HTTPGet, at) }},
			{"tcpSocket", p.TCPSocket != nil, func(at *field.Path) field.ErrorList { return actionPort(p.TCPSocket.Port, at) }},
			{"grpc", p.GRPC != nil, func(at *field.Path) field.ErrorList { return portNumber(at.Child("port"), p.GRPC.Port) }},
		}),
		notNegative(path.Child("initialDelaySeconds"), p.InitialDelaySeconds),
		notNegative(path.Child("timeoutSeconds"), p.TimeoutSeconds),
		notNegative(path.Child("periodSeconds"), p.PeriodSeconds),
		notNegative(path.Child("successThreshold"), p.SuccessThreshold),
		notNegative(path.Child("failureThreshold"), p.FailureThreshold),
	)
	if grace := p.TerminationGracePeriodSeconds; grace != nil && *grace <= 0 {
		errs = append(errs, field.Invalid(path.Child("terminationGracePeriodSeconds"), *grace, "must be more than 0"))
	}
	return errs
}

func notNegative(path *field.Path, n int32) field.ErrorList {
	if n >= 0 {
		return nil
	}
	return field.ErrorList{field.Invalid(path, n, "must not be negative")}
}

// oneSuccess checks that a probe needs exactly one success.
func oneSuccess(p *v1.Probe, path *field.Path) field.ErrorList {
	if p == nil || p.SuccessThreshold == 1 {
		return nil
	}
	return field.ErrorList{field.Invalid(path.Child("successThreshold"), p.SuccessThreshold, "must be 1")}
}

// hook checks what runs after the start or before the end of a container.
func hook(h *v1.LifecycleHandler, rules *containerRules, path *field.Path) field.ErrorList {
	if h == nil {
		return nil
	}
	return handlers(path, []handler{
		{"exec", h.Exec != nil, func(at *field.Path) field.ErrorList { return execAction(h.Exec, at) }},
		{"httpGet", h.HTTPGet != nil, func(at *field.Path) field.ErrorList { return httpGet(h.HTTPGet, at) }},
		{"tcpSocket", h.TCPSocket != nil, func(at *field.Path) field.ErrorList { return actionPort(h.TCPSocket.Port, at) }},
		{"sleep", h.Sleep != nil, func(at *field.Path) field.ErrorList { return sleep(h.Sleep, rules.graceSeconds, at) }},
	})
}

// handler is one of several alternatives, of which exactly one must be set.
type handler struct {
	name  string
	given bool
	check func(*field.Path) field.ErrorList
}

func handlers(path *field.Path, ways []handler) field.ErrorList {
	var errs field.ErrorList
	found := false
	for _, way := range ways {
		switch {
		case !way.given:
		case found:
			errs = append(errs, field.Forbidden(path.Child(way.name), "only one of its kind may be given"))
		default:
			found = true
			errs = append(errs, way.check(path.Child(way.name))...)
		}
	}
	if !found {
		errs = append(errs, field.Required(path, "one way to do it"))
	}
	return errs
}

func execAction(exec *v1.ExecAction, path *field.Path) field.ErrorList {
	if len(exec.Command) > 0 {
		return nil
	}
	return field.ErrorList{field.Required(path.Child("command"), "")}
}

func httpGet(get *v1.HTTPGetAction, path *field.Path) field.ErrorList {
	errs := concat(
		required(path.Child("path"), get.Path, ""),
		actionPort(get.Port, path),
		oneOf(path.Child("scheme"), get.Scheme, v1.URISchemeHTTP, v1.URISchemeHTTPS),
	)
	for _, header := range get.HTTPHeaders {
		errs = append(errs, invalid(path.Child("httpHeaders"), header.Name, syntax.IsHTTPHeaderName(header.Name))...)
	}
	return errs
}

func actionPort(port intstr.IntOrString, path *field.Path) field.ErrorList {
	return targetPort(path.Child("port"), port)
}

func sleep(s *v1.SleepAction, graceSeconds *int64, path *field.Path) field.ErrorList {
	if graceSeconds == nil || s.Seconds >= 0 && s.Seconds <= *graceSeconds {
		return nil
	}
	return field.ErrorList{field.Invalid(path, s.Seconds, "must be between 0 and terminationGracePeriodSeconds")}
}
