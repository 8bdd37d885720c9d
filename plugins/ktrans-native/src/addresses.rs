//! IP addresses as text: whether a text is one, in its canonical form.

use std::io::Write;
use std::net::Ipv6Addr;

const LONGEST: usize = 39;

/// Returns whether a text is an IPv4 address without leading zeros, or an IPv6 address as RFC 5952 has it.
pub fn is_canonical(text: &[u8]) -> bool {
    is_ipv4(text) || is_canonical_ipv6(text)
}

fn is_ipv4(text: &[u8]) -> bool {
    let (mut octet, mut digits, mut dots) = (0, 0, 0);
    for &byte in text {
        if byte == b'.' && digits > 0 {
            (octet, digits, dots) = (0, 0, dots + 1);
        } else if byte.is_ascii_digit() && (digits == 0 || octet > 0) {
            (octet, digits) = (octet * 10 + u32::from(byte - b'0'), digits + 1);
            if octet > 255 {
                return false;
            }
        } else {
            return false;
        }
    }
    dots == 3 && digits > 0
}

fn is_canonical_ipv6(text: &[u8]) -> bool {
    // One in its deprecated compatible form is left to the reference.
    let dotted = text.contains(&b'.') && !text.starts_with(b"::ffff:");
    if dotted || text.len() > LONGEST {
        return false;
    }
    let Some(address) =
        std::str::from_utf8(text).ok().and_then(|text| text.parse::<Ipv6Addr>().ok())
    else {
        return false;
    };
    let mut written = [0; LONGEST];
    let mut rest = written.as_mut_slice();
    if write!(rest, "{address}").is_err() {
        return false;
    }
    let unused = rest.len();
    written[..LONGEST - unused] == *text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_canonical_forms_count() {
        let longest = "fedc:ba98:7654:3210:fedc:ba98:7654:3210";
        for good in [
            "10.0.0.1",
            "255.255.255.255",
            "0.0.0.0",
            "::",
            "::1",
            "2001:db8::1",
            "::ffff:10.0.0.1",
            longest,
        ] {
            assert!(is_canonical(good.as_bytes()), "{good}");
        }
        for bad in [
            "",
            "-",
            ".",
            "...",
            "10.0.0",
            "10.0.0.",
            ".10.0.0",
            "10..0.0",
            "10.0.0.0.0",
            "10.0.0.01",
            "10.0.0.00",
            "256.0.0.1",
            "0.0.0.99999999999999999999",
            "2001:DB8::1",
            "2001:db8:0::1",
            "::1.2.3.4",
            "::ffff:0a00:1",
            "fe80::1%1",
        ] {
            assert!(!is_canonical(bad.as_bytes()), "{bad}");
        }
    }
}
