//! Which addresses a request may go to, by who named them.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use url::{Host, Url};

use super::Error;

/// How far a request may reach. Ordered from the widest to the narrowest.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Reach {
    /// Everywhere: the user named the host.
    Anywhere,
    /// Everywhere but link-local and metadata addresses: a peer on a private address named the host.
    NotLinkLocal,
    /// Public addresses only: a public peer named the host.
    PublicOnly,
}

/// What kind of address it is, as far as reaching it matters.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    Public,
    Private,
    LinkLocal,
    Metadata,
    Unusable,
}

impl Kind {
    pub(super) const fn name(self) -> &'static str {
        match self {
            Self::Public => "public",
            Self::Private => "private",
            Self::LinkLocal => "link-local",
            Self::Metadata => "metadata service",
            Self::Unusable => "reserved",
        }
    }
}

/// Addresses outside the link-local range where clouds answer with credentials: Alibaba, Azure's wire server, Oracle.
const METADATA_V4: &[Ipv4Addr] =
    &[Ipv4Addr::new(100, 100, 100, 200), Ipv4Addr::new(168, 63, 129, 16), Ipv4Addr::new(192, 0, 0, 192)];

/// The IPv6 metadata address of AWS.
const METADATA_V6: Ipv6Addr = Ipv6Addr::new(0xfd00, 0x0ec2, 0, 0, 0, 0, 0, 0x254);

/// Names of metadata services, for requests whose name a proxy resolves.
const METADATA_NAMES: &[&str] =
    &["metadata", "metadata.google.internal", "instance-data", "instance-data.ec2.internal"];

pub(super) fn kind(address: IpAddr) -> Kind {
    match address {
        IpAddr::V4(v4) => kind_v4(v4),
        IpAddr::V6(v6) => match embedded(v6) {
            Some(v4) => kind_v4(v4),
            None if v6 == METADATA_V6 => Kind::Metadata,
            None if v6.is_unspecified() || v6.is_multicast() => Kind::Unusable,
            None if v6.is_unicast_link_local() => Kind::LinkLocal,
            None if v6.is_loopback() || v6.is_unique_local() => Kind::Private,
            None => Kind::Public,
        },
    }
}

fn kind_v4(v4: Ipv4Addr) -> Kind {
    let [a, b, ..] = v4.octets();
    if METADATA_V4.contains(&v4) {
        Kind::Metadata
    } else if v4.is_link_local() {
        Kind::LinkLocal
    } else if a == 0 || a >= 224 {
        Kind::Unusable
    } else if v4.is_loopback() || v4.is_private() || (a == 100 && (64..128).contains(&b)) || (a == 198 && b & !1 == 18)
    {
        Kind::Private
    } else {
        Kind::Public
    }
}

/// The IPv4 address inside a mapped, compatible, NAT64 (RFC 6052) or 6to4 (RFC 3056) address.
fn embedded(v6: Ipv6Addr) -> Option<Ipv4Addr> {
    let o = v6.octets();
    let tail = Ipv4Addr::new(o[12], o[13], o[14], o[15]);
    if let Some(v4) = v6.to_ipv4_mapped() {
        return Some(v4);
    }
    match v6.segments() {
        [0x64, 0xff9b, 0, 0, 0, 0, ..] => Some(tail),
        [0x2002, ..] => Some(Ipv4Addr::new(o[2], o[3], o[4], o[5])),
        [0, 0, 0, 0, 0, 0, high, low] if high != 0 || low > 1 => Some(tail),
        _ => None,
    }
}

impl Reach {
    pub(super) fn admits(self, address: IpAddr) -> bool {
        match (self, kind(address)) {
            (Self::Anywhere, _) | (_, Kind::Public) => true,
            (Self::NotLinkLocal, Kind::Private) => true,
            (Self::NotLinkLocal, Kind::LinkLocal | Kind::Metadata | Kind::Unusable) => false,
            (Self::PublicOnly, _) => false,
        }
    }

    /// Checks what can be told without a resolver: a literal address, or the name of a metadata service.
    pub(super) fn check_url(self, url: &Url) -> Result<(), Error> {
        let address = match url.host() {
            Some(Host::Ipv4(v4)) => IpAddr::V4(v4),
            Some(Host::Ipv6(v6)) => IpAddr::V6(v6),
            Some(Host::Domain(name)) => {
                let name = name.trim_end_matches('.');
                if self != Self::Anywhere && METADATA_NAMES.iter().any(|known| name.eq_ignore_ascii_case(known)) {
                    return Err(Error::NameRefused { host: name.to_owned() });
                }
                return Ok(());
            }
            None => return Ok(()),
        };
        if self.admits(address) {
            Ok(())
        } else {
            let host = url.host_str().unwrap_or_default().to_owned();
            Err(Error::AddressRefused { host, address, kind: kind(address).name() })
        }
    }
}

/// How far the links in an answer may reach that came from `peer` (`None`: a proxy stood between, so only a literal
/// address in the URL tells).
pub(super) fn reach_of_links(url: &Url, peer: Option<IpAddr>) -> Reach {
    let address = peer.or_else(|| match url.host() {
        Some(Host::Ipv4(v4)) => Some(IpAddr::V4(v4)),
        Some(Host::Ipv6(v6)) => Some(IpAddr::V6(v6)),
        _ => None,
    });
    match address.map(kind) {
        Some(Kind::Private | Kind::LinkLocal | Kind::Metadata | Kind::Unusable) => Reach::NotLinkLocal,
        Some(Kind::Public) | None => Reach::PublicOnly,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn kinds() {
        for (text, want) in [
            ("1.1.1.1", Kind::Public),
            ("2606:4700::1", Kind::Public),
            ("127.0.0.1", Kind::Private),
            ("10.1.2.3", Kind::Private),
            ("172.31.0.1", Kind::Private),
            ("192.168.0.1", Kind::Private),
            ("100.64.0.1", Kind::Private),
            ("198.19.0.1", Kind::Private),
            ("::1", Kind::Private),
            ("fd12::1", Kind::Private),
            ("::ffff:10.0.0.1", Kind::Private),
            ("64:ff9b::a00:1", Kind::Private),
            ("2002:a00:1::", Kind::Private),
            ("169.254.169.254", Kind::LinkLocal),
            ("::ffff:169.254.169.254", Kind::LinkLocal),
            ("::169.254.169.254", Kind::LinkLocal),
            ("fe80::1", Kind::LinkLocal),
            ("100.100.100.200", Kind::Metadata),
            ("168.63.129.16", Kind::Metadata),
            ("fd00:ec2::254", Kind::Metadata),
            ("0.0.0.0", Kind::Unusable),
            ("::", Kind::Unusable),
            ("255.255.255.255", Kind::Unusable),
            ("ff02::1", Kind::Unusable),
        ] {
            assert_eq!(kind(text.parse().unwrap()), want, "{text}");
        }
    }

    #[test]
    fn literal_addresses_are_refused_in_every_spelling() {
        for text in [
            "http://169.254.169.254/latest",
            "http://2852039166/",
            "http://0xa9fea9fe/",
            "http://0251.0376.0251.0376/",
            "http://[::ffff:a9fe:a9fe]/",
            "http://metadata.google.internal./x",
            "http://METADATA/x",
        ] {
            let url = Url::parse(text).unwrap();
            assert!(Reach::NotLinkLocal.check_url(&url).is_err(), "{text}");
            assert!(Reach::PublicOnly.check_url(&url).is_err(), "{text}");
            assert!(Reach::Anywhere.check_url(&url).is_ok(), "{text}");
        }
        let private = Url::parse("http://10.0.0.1/").unwrap();
        assert!(Reach::NotLinkLocal.check_url(&private).is_ok());
        assert!(Reach::PublicOnly.check_url(&private).is_err());
    }

    #[test]
    fn a_public_peer_may_not_name_private_addresses() {
        let url = Url::parse("https://r.example/").unwrap();
        assert_eq!(reach_of_links(&url, Some("1.1.1.1".parse().unwrap())), Reach::PublicOnly);
        assert_eq!(reach_of_links(&url, Some("10.0.0.1".parse().unwrap())), Reach::NotLinkLocal);
        assert_eq!(reach_of_links(&url, None), Reach::PublicOnly);
        let literal = Url::parse("http://127.0.0.1:5000/").unwrap();
        assert_eq!(reach_of_links(&literal, None), Reach::NotLinkLocal);
    }
}
