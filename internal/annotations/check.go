package annotations

import (
	"fmt"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"
)

// A Kind is the kind of a health check.
type Kind string

// The kinds, each with its condition for success.
const (
	TCP   Kind = "tcp"   // the address accepts a connection
	HTTP  Kind = "http"  // the address answers GET with an expected status
	HTTPS Kind = "https" // the same, over TLS
	GRPC  Kind = "grpc"  // the address reports SERVING by grpc.health.v1.Health, in plain text
	DNS   Kind = "dns"   // the address answers a query over UDP
)

// Defaults for settings that the annotation does not set. With these, a dead address is found within Interval + 2 ×
// Timeout, which is below 3 s, because a result that may change the state is confirmed at once.
const (
	DefaultInterval = 2 * time.Second
	DefaultTimeout  = 400 * time.Millisecond
	DefaultRise     = 2
	DefaultFall     = 2
	DefaultStatus   = "200-399"
)

// The bounds of the settings.
const (
	shortestInterval = 100 * time.Millisecond
	longestInterval  = time.Hour
	shortestTimeout  = 10 * time.Millisecond
	longestTimeout   = time.Minute
	mostAnswers      = 100
)

// A Check describes how an address is checked. Two Checks with the same meaning are equal with ==.
type Check struct {
	Kind     Kind
	Port     uint16        // 0: every port of the address that the Kind can check
	Path     string        // of HTTP and HTTPS, with the query; begins with a slash
	Host     string        // the Host header, and for HTTPS the server name (SNI); "": the address
	TLSName  string        // the name that the certificate must be valid for; "": no certificate is verified
	Status   string        // the good statuses: numbers and ranges, as 200-299,401
	Name     string        // of DNS: the name of an A query; the reply must be NOERROR; "": any reply is good
	Service  string        // of GRPC: the checked service; "": the server as a whole
	Interval time.Duration // between the starts of two checks
	Timeout  time.Duration // for one check
	Rise     int           // good results in a row after which an address is Up
	Fall     int           // bad results in a row after which an address is Down
}

// ParseCheck parses a check: a kind or a URL, then settings in any order, separated by spaces.
//
//	tcp
//	http://:8080/healthz interval=5s timeout=1s rise=2 fall=3 status=200-299 host=shop.example
//	https://shop.example/healthz tls-name=shop.example
//	grpc service=shop.v1.Cart
//	dns name=example.org
//
// The host of a URL is the Host header, never the destination: the destination is always the address itself.
func ParseCheck(value string) (*Check, error) {
	words := strings.Fields(value)
	if len(words) == 0 {
		return nil, fmt.Errorf("must not be empty: say %s, or a URL as http:///healthz", strings.Join(kinds(), ", "))
	}
	c := Check{Interval: DefaultInterval, Rise: DefaultRise, Fall: DefaultFall}
	if err := c.what(words[0]); err != nil {
		return nil, err
	}
	said := map[string]bool{}
	for _, word := range words[1:] {
		key, v, ok := strings.Cut(word, "=")
		if !ok {
			return nil, fmt.Errorf("%q must be of the form key=value", word)
		}
		if said[key] {
			return nil, fmt.Errorf("%s is said twice", key)
		}
		said[key] = true
		if err := c.set(key, v); err != nil {
			return nil, err
		}
	}
	return &c, c.complete()
}

func kinds() []string {
	return []string{string(TCP), string(HTTP), string(HTTPS), string(GRPC), string(DNS)}
}

// what parses the first word: the kind or the URL.
func (c *Check) what(word string) error {
	kind, rest, isURL := strings.Cut(word, "://")
	c.Kind = Kind(kind)
	if !slices.Contains(kinds(), kind) {
		return fmt.Errorf("there is no check %q; there are %s", kind, strings.Join(kinds(), ", "))
	}
	if !isURL {
		return nil
	}
	u, err := url.Parse("http://" + rest)
	if err != nil || u.User != nil || u.Fragment != "" {
		return fmt.Errorf("%q must be a URL of a host, a port and a path, each of which may be left out", word)
	}
	if u.Port() != "" {
		if err := c.setPort(u.Port()); err != nil {
			return err
		}
	}
	c.Host = u.Hostname()
	switch c.Kind {
	case HTTP, HTTPS:
		c.Path = u.RequestURI()
	case DNS:
		c.Name, c.Host = strings.TrimPrefix(u.Path, "/"), ""
	case GRPC:
		c.Service, c.Host = strings.TrimPrefix(u.Path, "/"), ""
	default:
		if c.Host != "" || u.Path != "" {
			return fmt.Errorf("%q must have neither host nor path: the address itself is asked", word)
		}
	}
	return nil
}

// keysOf lists the settings that a kind has in addition to the common ones.
func keysOf(k Kind) []string {
	switch k { // others: a tcp check has only the common settings
	case HTTP:
		return []string{"status", "host"}
	case HTTPS:
		return []string{"status", "host", "tls-name"}
	case GRPC:
		return []string{"service"}
	case DNS:
		return []string{"name"}
	}
	return nil
}

func (c *Check) set(key, value string) (err error) {
	all := append([]string{"port", "interval", "timeout", "rise", "fall"}, keysOf(c.Kind)...)
	if !slices.Contains(all, key) {
		return fmt.Errorf("a check by %s has no setting %q; it has %s", c.Kind, key, strings.Join(all, ", "))
	}
	if value == "" {
		return fmt.Errorf("%s must not be empty", key)
	}
	switch key {
	case "port":
		return c.setPort(value)
	case "interval":
		c.Interval, err = duration(key, value, shortestInterval, longestInterval)
	case "timeout":
		c.Timeout, err = duration(key, value, shortestTimeout, longestTimeout)
	case "rise":
		c.Rise, err = count(key, value)
	case "fall":
		c.Fall, err = count(key, value)
	case "status":
		_, err = parseStatuses(value)
		c.Status = value
	case "host":
		c.Host = value
	case "tls-name":
		c.TLSName = value
	case "service":
		c.Service = value
	case "name":
		c.Name = value
	}
	return err
}

func (c *Check) setPort(value string) error {
	n, err := strconv.ParseUint(value, 10, 16)
	if err != nil || n == 0 {
		return fmt.Errorf("port %q must be a number from 1 to 65535", value)
	}
	if c.Port != 0 && c.Port != uint16(n) {
		return fmt.Errorf("port is said twice: %d and %d", c.Port, n)
	}
	c.Port = uint16(n)
	return nil
}

func duration(key, value string, least, most time.Duration) (time.Duration, error) {
	d, err := time.ParseDuration(value)
	if err != nil || d < least || d > most {
		return 0, fmt.Errorf("%s %q must be a time from %v to %v, as 500ms or 2s", key, value, least, most)
	}
	return d, nil
}

func count(key, value string) (int, error) {
	n, err := strconv.Atoi(value)
	if err != nil || n < 1 || n > mostAnswers {
		return 0, fmt.Errorf("%s %q must be a number from 1 to %d", key, value, mostAnswers)
	}
	return n, nil
}

// complete sets the defaults of settings that were left out.
func (c *Check) complete() error {
	if c.Timeout == 0 {
		c.Timeout = min(DefaultTimeout, c.Interval)
		if c.Kind != TCP && c.Kind != DNS { // these servers need time to compute an answer
			c.Timeout = min(time.Second, c.Interval)
		}
	}
	if c.Timeout > c.Interval {
		return fmt.Errorf("timeout %v must not be longer than interval %v", c.Timeout, c.Interval)
	}
	if c.Kind == HTTP || c.Kind == HTTPS {
		if c.Path == "" {
			c.Path = "/"
		}
		if c.Status == "" {
			c.Status = DefaultStatus
		}
	}
	return nil
}

// String returns the shortest annotation that means c.
func (c Check) String() string {
	var b strings.Builder
	b.WriteString(string(c.Kind))
	if c.Kind == HTTP || c.Kind == HTTPS {
		b.WriteString("://" + c.Host)
		if c.Port != 0 {
			fmt.Fprintf(&b, ":%d", c.Port)
		}
		b.WriteString(c.Path)
	} else if c.Port != 0 {
		fmt.Fprintf(&b, " port=%d", c.Port)
	}
	plain := Check{Kind: c.Kind, Interval: DefaultInterval, Rise: DefaultRise, Fall: DefaultFall}
	_ = plain.complete() // the defaults do not contradict each other
	add := func(key string, value, otherwise any) {
		if value != otherwise {
			fmt.Fprintf(&b, " %s=%v", key, value)
		}
	}
	add("name", c.Name, "")
	add("service", c.Service, "")
	add("status", c.Status, plain.Status)
	add("tls-name", c.TLSName, "")
	add("interval", c.Interval, plain.Interval)
	add("timeout", c.Timeout, plain.Timeout)
	add("rise", c.Rise, plain.Rise)
	add("fall", c.Fall, plain.Fall)
	return b.String()
}
