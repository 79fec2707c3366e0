//! Keeps webhooks out of our own network: a URL in a workspace must not reach a private address,
//! also when a public name resolves to one (checked at each resolution, so that a name cannot change
//! its mind afterwards).

use reqwest::Url;
use reqwest::dns::{Addrs, Name, Resolve, Resolving};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

/// Why a name is refused.
pub(crate) const NO_PUBLIC_ADDRESS: &str = "the name has no public address";

/// Whether a request failed because of that.
pub(crate) fn refused(error: &reqwest::Error) -> bool {
    let mut cause = std::error::Error::source(error);
    while let Some(error) = cause {
        if error.to_string() == NO_PUBLIC_ADDRESS {
            return true;
        }
        cause = error.source();
    }
    false
}

/// A resolver that gives public addresses only.
pub(crate) struct PublicOnly;

impl Resolve for PublicOnly {
    fn resolve(&self, name: Name) -> Resolving {
        Box::pin(async move {
            let found = tokio::net::lookup_host((name.as_str(), 0)).await?;
            let public: Vec<SocketAddr> = found.filter(|a| !is_private(a.ip())).collect();
            if public.is_empty() {
                return Err(NO_PUBLIC_ADDRESS.into());
            }
            Ok(Box::new(public.into_iter()) as Addrs)
        })
    }
}

/// Whether the URL's host is a private address as it stands.
pub(crate) fn is_private_host(url: &Url) -> bool {
    match url.host_str() {
        None => true,
        Some(host) => {
            let bare = host.trim_start_matches('[').trim_end_matches(']');
            match bare.parse::<IpAddr>() {
                Ok(ip) => is_private(ip),
                Err(_) => {
                    let host = host.trim_end_matches('.').to_ascii_lowercase();
                    host == "localhost" || host.ends_with(".localhost")
                }
            }
        }
    }
}

fn is_private(ip: IpAddr) -> bool {
    match ip {
        IpAddr::V4(ip) => is_private_v4(ip),
        IpAddr::V6(ip) => is_private_v6(ip),
    }
}

/// IANA special-purpose registry, as far as it is not globally reachable.
fn is_private_v4(ip: Ipv4Addr) -> bool {
    let [a, b, c, _] = ip.octets();
    ip.is_private()
        || ip.is_loopback()
        || ip.is_link_local()
        || ip.is_broadcast()
        || ip.is_multicast()
        || ip.is_documentation()
        || a == 0
        || a >= 240
        || (a == 100 && (64..128).contains(&b)) // shared address space
        || (a == 192 && b == 0 && c == 0)
        || (a == 198 && (b == 18 || b == 19)) // benchmarking
}

fn is_private_v6(ip: Ipv6Addr) -> bool {
    if let Some(v4) = ip.to_ipv4_mapped() {
        return is_private_v4(v4);
    }
    let [a, b, ..] = ip.segments();
    let embedded = |high: u16, low: u16| {
        let [h, l] = [high.to_be_bytes(), low.to_be_bytes()];
        is_private_v4(Ipv4Addr::new(h[0], h[1], l[0], l[1]))
    };
    let segments = ip.segments();
    ip.is_loopback()
        || ip.is_unspecified()
        || ip.is_multicast()
        || (a & 0xfe00) == 0xfc00 // unique local
        || (a & 0xffc0) == 0xfe80 // link local
        || (a == 0x2001 && b == 0x0db8)
        || (a == 0x64 && b == 0xff9b && embedded(segments[6], segments[7])) // NAT64
        || (a == 0x2002 && embedded(b, segments[2])) // 6to4
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn private_addresses_are_known_in_every_dress() {
        let private = [
            "http://127.0.0.1/",
            "http://localhost:80/",
            "http://x.localhost/",
            "http://10.1.2.3/",
            "http://169.254.169.254/latest",
            "http://[::1]/",
            "http://[::ffff:10.0.0.1]/",
            "http://[fd00::1]/",
            "http://0x7f.1/",
            "http://2130706433/",
            "http://100.64.0.1/",
            "http://[64:ff9b::7f00:1]/",
            "http://[2002:7f00:1::]/",
            "http://0.0.0.0/",
        ];
        for url in private {
            assert!(is_private_host(&Url::parse(url).unwrap()), "{url}");
        }
        for url in ["https://hooks.example/", "http://93.184.216.34/", "http://[2606:4700::1]/"] {
            assert!(!is_private_host(&Url::parse(url).unwrap()), "{url}");
        }
    }
}
