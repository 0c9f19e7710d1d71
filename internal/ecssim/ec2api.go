package ecssim

import (
	"encoding/xml"
	"fmt"
	"net/http"
	"net/netip"
	"net/url"
	"slices"
	"strconv"
	"strings"
)

// ec2Protocol is the EC2 query protocol: a form in, XML out.
type ec2Protocol struct{}

const ec2Namespace = "http://ec2.amazonaws.com/doc/2016-11-15/"

// formAction is the action of a form.
func formAction(body []byte) string {
	form, err := url.ParseQuery(string(body))
	if err != nil {
		return ""
	}
	return form.Get("Action")
}

func (ec2Protocol) contentType() string { return "text/xml;charset=UTF-8" }

func (ec2Protocol) denial(action string) *apiError {
	return &apiError{http.StatusForbidden, "UnauthorizedOperation", "You are not authorized to perform this operation: ec2:" + action + "."}
}

func (ec2Protocol) throttle() *apiError {
	return &apiError{http.StatusServiceUnavailable, "RequestLimitExceeded", "Request limit exceeded."}
}

type ec2Error struct {
	XMLName   xml.Name `xml:"Response"`
	Code      string   `xml:"Errors>Error>Code"`
	Message   string   `xml:"Errors>Error>Message"`
	RequestID string   `xml:"RequestID"`
}

const requestID = "59dbff89-35bd-4eac-99ed-be587EXAMPLE"

func (p ec2Protocol) fail(w http.ResponseWriter, e *apiError) {
	w.Header().Set("Content-Type", p.contentType())
	w.WriteHeader(e.status)
	_ = xml.NewEncoder(w).Encode(ec2Error{Code: e.code, Message: e.message, RequestID: requestID})
}

func (ec2Protocol) empty(string) []byte {
	return []byte(`<DescribeInstancesResponse xmlns="` + ec2Namespace + `"><requestId>` + requestID +
		`</requestId><reservationSet/></DescribeInstancesResponse>`)
}

func (ec2Protocol) call(v *view, action string, body []byte) ([]byte, *apiError) {
	form, err := url.ParseQuery(string(body))
	if err != nil || action != "DescribeInstances" {
		return nil, clientError("InvalidAction", "The action is not valid for this web service.")
	}
	out, err := v.describeInstances(form)
	return marshalled(xml.Marshal, out, err)
}

type describeInstancesAnswer struct {
	XMLName      xml.Name      `xml:"http://ec2.amazonaws.com/doc/2016-11-15/ DescribeInstancesResponse"`
	RequestID    string        `xml:"requestId"`
	Reservations []reservation `xml:"reservationSet>item"`
	NextToken    string        `xml:"nextToken,omitempty"`
}

type reservation struct {
	ReservationID string        `xml:"reservationId"`
	OwnerID       string        `xml:"ownerId"`
	Instances     []ec2Instance `xml:"instancesSet>item"`
}

type ec2Instance struct {
	InstanceID       string         `xml:"instanceId"`
	StateCode        int            `xml:"instanceState>code"`
	StateName        string         `xml:"instanceState>name"`
	PrivateIPAddress string         `xml:"privateIpAddress,omitempty"`
	IPv6Address      string         `xml:"ipv6Address,omitempty"`
	Zone             string         `xml:"placement>availabilityZone"`
	Interfaces       []ec2Interface `xml:"networkInterfaceSet>item"`
}

type ec2Interface struct {
	NetworkInterfaceID string   `xml:"networkInterfaceId"`
	PrivateIPAddress   string   `xml:"privateIpAddress,omitempty"`
	IPv6Addresses      []string `xml:"ipv6AddressesSet>item>ipv6Address"`
}

func (v *view) describeInstances(form url.Values) (any, error) {
	v.mu.Lock()
	defer v.mu.Unlock()
	ids, filters := numbered(form, "InstanceId."), filtersOf(form)
	size, err := strconv.Atoi(form.Get("MaxResults"))
	if form.Get("MaxResults") != "" && (err != nil || size < 5 || size > 1000) {
		return nil, clientError("InvalidParameterValue", "Value for parameter MaxResults is invalid. Expecting a value from 5 to 1000.")
	}
	if len(ids) > 0 && size > 0 {
		return nil, clientError("InvalidParameterCombination", "The parameter instancesSet cannot be used with the parameter maxResults")
	}
	if len(filters) > 200 {
		return nil, clientError("FilterLimitExceeded", "The maximum number of filter values specified on a single call is 200")
	}
	known := map[string]*instance{}
	for _, c := range v.clusters {
		for _, i := range c.instances {
			if strings.HasPrefix(i.id, "i-") && !i.lost && !v.missing && !v.elsewhere {
				known[i.id] = i
			}
		}
	}
	var found []string
	for id := range known {
		if (len(ids) == 0 || slices.Contains(ids, id)) && (filters == nil || slices.Contains(filters, id)) {
			found = append(found, id)
		}
	}
	for _, id := range ids {
		if known[id] == nil {
			return nil, clientError("InvalidInstanceID.NotFound", fmt.Sprintf("The instance ID '%s' does not exist", id))
		}
	}
	found, next, err := v.page(found, form.Get("NextToken"), size)
	out := describeInstancesAnswer{RequestID: requestID, NextToken: next}
	for _, id := range found {
		out.Reservations = append(out.Reservations, reservation{"r-" + id[2:], v.account, []ec2Instance{ec2InstanceOf(known[id])}})
	}
	return out, err
}

func ec2InstanceOf(i *instance) ec2Instance {
	text := func(a netip.Addr) string {
		if !a.IsValid() {
			return ""
		}
		return a.String()
	}
	e := ec2Instance{
		InstanceID: i.id, StateCode: 16, StateName: "running", PrivateIPAddress: text(i.ipv4), IPv6Address: text(i.ipv6), Zone: i.zone,
		Interfaces: []ec2Interface{{NetworkInterfaceID: "eni-" + i.id[2:], PrivateIPAddress: text(i.ipv4)}},
	}
	if i.ipv6.IsValid() {
		e.Interfaces[0].IPv6Addresses = []string{text(i.ipv6)}
	}
	return e
}

// numbered are the values of NAME.1, NAME.2 and so on.
func numbered(form url.Values, prefix string) []string {
	var all []string
	for n := 1; form.Has(prefix + strconv.Itoa(n)); n++ {
		all = append(all, form.Get(prefix+strconv.Itoa(n)))
	}
	return all
}

// filtersOf are the values of the filter instance-id; nil without that filter.
func filtersOf(form url.Values) []string {
	for n := 1; form.Has(fmt.Sprintf("Filter.%d.Name", n)); n++ {
		if form.Get(fmt.Sprintf("Filter.%d.Name", n)) == "instance-id" {
			return append([]string{}, numbered(form, fmt.Sprintf("Filter.%d.Value.", n))...)
		}
	}
	return nil
}
