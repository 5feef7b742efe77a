//! Tests of webhook URLs.

use proptest::prelude::*;

use super::*;

/// The refusal of a URL under a policy, or its normalised form.
fn said(text: &str, policy: AddressPolicy) -> Result<String, BadWebhookUrl> {
    WebhookUrl::parse(text, policy).map(|url| url.to_string())
}

const ADDRESS: BadWebhookUrl = BadWebhookUrl::Address;
const INTERNAL: BadWebhookUrl = BadWebhookUrl::PrivateName("internal");
const LOCALHOST: BadWebhookUrl = BadWebhookUrl::PrivateName("localhost");

/// Spellings of URLs that must be refused, with the refusals.
const TRICKS: [(&str, BadWebhookUrl); 112] = [
    // Plain addresses.
    ("https://127.0.0.1/", ADDRESS),
    ("https://127.0.0.1:9001/2018-06-01/runtime/invocation/next", ADDRESS),
    ("https://169.254.169.254/latest/meta-data/", ADDRESS),
    ("https://169.254.170.2/v2/credentials", ADDRESS),
    ("https://10.0.0.1/", ADDRESS),
    ("https://0/", ADDRESS),
    ("https://0.0.0.0/", ADDRESS),
    ("https://255.255.255.255/", ADDRESS),
    ("https://100.100.100.200/", ADDRESS),
    ("https://[::1]/", ADDRESS),
    ("https://[::]/", ADDRESS),
    ("https://[fd00:ec2::254]/", ADDRESS),
    ("https://[fe80::1]/", ADDRESS),
    ("https://[fec0::1]/", ADDRESS),
    ("https://[ff02::1]/", ADDRESS),
    // IPv4 in other forms: short, decimal, octal, hexadecimal, mixed, padded, with a dot at the end.
    ("https://127.1/", ADDRESS),
    ("https://127.0.1/", ADDRESS),
    ("https://2130706433/", ADDRESS),
    ("https://0x7f000001/", ADDRESS),
    ("https://0x7f.1/", ADDRESS),
    ("https://0x7F.0x0.0x0.0x1/", ADDRESS),
    ("https://0x7f.0.0.0x1/", ADDRESS),
    ("https://0177.0.0.1/", ADDRESS),
    ("https://0177.1/", ADDRESS),
    ("https://017700000001/", ADDRESS),
    ("https://00000177.0.0.01/", ADDRESS),
    ("https://0x/", ADDRESS),
    ("https://2852039166/", ADDRESS),
    ("https://0xa9fea9fe/", ADDRESS),
    ("https://0xA9.0xFE.0xA9.0xFE/", ADDRESS),
    ("https://0251.0376.0251.0376/", ADDRESS),
    ("https://025177524776/", ADDRESS),
    ("https://169.254.43518/", ADDRESS),
    ("https://169.0xfea9fe/", ADDRESS),
    ("https://169.254.169.254./", ADDRESS),
    ("https://127.0.0.1./", ADDRESS),
    ("https://127.1./", ADDRESS),
    ("https://012.1/", ADDRESS),
    ("https://192.168.257/", ADDRESS),
    // Invalid hosts that end like an address.
    ("https://127.0.0.1.1/", BadWebhookUrl::Host),
    ("https://256.0.0.1/", BadWebhookUrl::Host),
    ("https://4294967296/", BadWebhookUrl::Host),
    ("https://0x100000000/", BadWebhookUrl::Host),
    ("https://127.0.0.0x/", ADDRESS),
    ("https://127.0.0.08/", BadWebhookUrl::Host),
    ("https://hooks.example.0x7f/", BadWebhookUrl::Host),
    // IPv4 embedded in IPv6.
    ("https://[::ffff:127.0.0.1]/", ADDRESS),
    ("https://[::ffff:169.254.169.254]/", ADDRESS),
    ("https://[::ffff:a9fe:a9fe]/", ADDRESS),
    ("https://[0:0:0:0:0:ffff:7f00:1]/", ADDRESS),
    ("https://[::127.0.0.1]/", ADDRESS),
    ("https://[64:ff9b::169.254.169.254]/", ADDRESS),
    ("https://[64:ff9b:1::a9fe:a9fe]/", ADDRESS),
    ("https://[2002:a9fe:a9fe::]/", ADDRESS),
    ("https://[2001:0:a9fe:a9fe::1]/", ADDRESS),
    ("https://[::ffff:8.8.8.8]/", ADDRESS),
    ("https://[0000::0001]/", ADDRESS),
    ("https://[fe80::1%25eth0]/", BadWebhookUrl::Host),
    ("https://[fe80::1%eth0]/", BadWebhookUrl::Host),
    ("https://[::1/", BadWebhookUrl::Host),
    ("https://::1/", BadWebhookUrl::Host),
    ("https://[127.0.0.1]/", BadWebhookUrl::Host),
    // Characters that are normalised to others.
    ("https://①②⑦.⓪.⓪.①/", ADDRESS),
    ("https://１２７.０.０.１/", ADDRESS),
    ("https://127。0。0。1/", ADDRESS),
    ("https://127．0．0．1/", ADDRESS),
    ("https://127｡0｡0｡1/", ADDRESS),
    ("https://127.0.0.\u{ad}1/", ADDRESS),
    ("https://𝟏𝟐𝟕.𝟎.𝟎.𝟏/", ADDRESS),
    ("https://%31%32%37.0.0.1/", ADDRESS),
    ("https://%31%36%39%2e%32%35%34%2e%31%36%39%2e%32%35%34/", ADDRESS),
    ("https://127%2e0%2e0%2e1/", ADDRESS),
    ("https://0x7f%2e1/", ADDRESS),
    ("https://ⓁⓄⒸⒶⓁⒽⓄⓈⓉ/", LOCALHOST),
    ("https://loc\u{ad}alhost/", LOCALHOST),
    ("https://ｌocalhost/", LOCALHOST),
    ("https://hooks.example.ｉnternal/", INTERNAL),
    ("https://hooks%E3%80%82internal/", INTERNAL),
    ("https://hooks.example.com%2f@127.0.0.1/", BadWebhookUrl::UserInfo),
    ("https://hooks.example.com%00.evil.example/", BadWebhookUrl::Host),
    ("https://127.0.0.1%40hooks.example.com/", BadWebhookUrl::Host),
    ("https://127.0.0.1%23.example.com/", BadWebhookUrl::Host),
    ("https://xn--a.example.com/", BadWebhookUrl::Host),
    // Text that only seems to be the host.
    ("https://hooks.example.com@127.0.0.1/", BadWebhookUrl::UserInfo),
    ("https://hooks.example.com:443@127.0.0.1/", BadWebhookUrl::UserInfo),
    ("https://@hooks.example.com/", BadWebhookUrl::UserInfo),
    ("https://:@hooks.example.com/", BadWebhookUrl::UserInfo),
    ("https://127.0.0.1:443@hooks.example.com/", BadWebhookUrl::UserInfo),
    ("https://hooks.example.com\\@127.0.0.1/", BadWebhookUrl::Character),
    ("https:\\\\127.0.0.1\\", BadWebhookUrl::Character),
    ("https://127.0.0.1\\.example.com/", BadWebhookUrl::Character),
    ("https://hooks.example.com/#@127.0.0.1/", BadWebhookUrl::Fragment),
    ("https://hooks.example.com#@127.0.0.1/", BadWebhookUrl::Fragment),
    ("https://hooks.example.com/#", BadWebhookUrl::Fragment),
    ("https:///127.0.0.1/", BadWebhookUrl::Host),
    ("https:////127.0.0.1/", BadWebhookUrl::Host),
    ("https://?@127.0.0.1/", BadWebhookUrl::Host),
    ("https:127.0.0.1/", BadWebhookUrl::Scheme),
    ("https:/127.0.0.1/", BadWebhookUrl::Scheme),
    // Whitespace and control characters, including those that parsers drop silently.
    ("https://127.0\t.0.1/", BadWebhookUrl::Character),
    ("https://hooks.example.com/\r\nHost: 127.0.0.1", BadWebhookUrl::Character),
    ("\nhttps://hooks.example.com/", BadWebhookUrl::Character),
    ("https://hooks.example.com/a b", BadWebhookUrl::Character),
    ("https://hooks.example.com/\0", BadWebhookUrl::Character),
    ("https://hooks.example.com/\u{2028}", BadWebhookUrl::Character),
    ("https://hooks.example.com\u{a0}/", BadWebhookUrl::Character),
    // Ports.
    ("https://hooks.example.com:0/", BadWebhookUrl::Port),
    ("https://hooks.example.com:65536/", BadWebhookUrl::Port),
    ("https://hooks.example.com:-1/", BadWebhookUrl::Port),
    ("https://hooks.example.com:4 43/", BadWebhookUrl::Character),
    ("https://hooks.example.com:443:80/", BadWebhookUrl::Port),
    ("https://[::1]:9001/", ADDRESS),
];

/// Host names, with the refusals.
const NAMES: [(&str, BadWebhookUrl); 25] = [
    ("localhost", LOCALHOST),
    ("LOCALHOST", LOCALHOST),
    ("localhost.", BadWebhookUrl::TrailingDot),
    ("foo.localhost", LOCALHOST),
    ("localhost.localdomain", BadWebhookUrl::PrivateName("localdomain")),
    ("foo.internal", INTERNAL),
    ("FOO.INTERNAL", INTERNAL),
    ("metadata.google.internal", INTERNAL),
    ("ip-10-0-0-1.eu-central-1.compute.internal", INTERNAL),
    ("internal", INTERNAL),
    ("foo.internal.", BadWebhookUrl::TrailingDot),
    ("printer.local", BadWebhookUrl::PrivateName("local")),
    ("router.home.arpa", BadWebhookUrl::PrivateName("home.arpa")),
    ("home.arpa", BadWebhookUrl::PrivateName("home.arpa")),
    ("expyuzz4wqqyqhjn.onion", BadWebhookUrl::PrivateName("onion")),
    ("hooks.invalid", BadWebhookUrl::PrivateName("invalid")),
    ("metadata", BadWebhookUrl::SingleLabel),
    ("intranet", BadWebhookUrl::SingleLabel),
    ("notlocal", BadWebhookUrl::SingleLabel),
    ("hooks.example.com.", BadWebhookUrl::TrailingDot),
    ("hooks..example.com", BadWebhookUrl::Host),
    (".example.com", BadWebhookUrl::Host),
    ("-hooks.example.com", BadWebhookUrl::Host),
    ("hooks!.example.com", BadWebhookUrl::Host),
    ("*.example.com", BadWebhookUrl::Host),
];

/// Schemes other than https.
const SCHEMES: [&str; 14] = [
    "",
    "hooks.example.com",
    "hooks.example.com/a?b=https://hooks.example.com/",
    "//hooks.example.com/",
    "/hooks",
    "http://hooks.example.com/",
    "ftp://hooks.example.com/",
    "file:///etc/passwd",
    "gopher://127.0.0.1:6379/_FLUSHALL",
    "javascript:alert(1)//https://hooks.example.com/",
    "data:text/plain,https://hooks.example.com/",
    "blob:https://hooks.example.com/1",
    "ws://hooks.example.com/",
    "view-source:https://hooks.example.com/",
];

#[test]
fn urls_that_hide_their_host_are_refused() {
    let tricks = TRICKS.map(|(text, why)| (text.to_owned(), why)).into_iter();
    let names = NAMES.into_iter().flat_map(|(name, why)| {
        [(format!("https://{name}/"), why), (format!("https://{name}:8443/hooks?a=b"), why)]
    });
    let schemes = SCHEMES.map(|text| (text.to_owned(), BadWebhookUrl::Scheme));
    let mut wrong = Vec::new();
    for (text, why) in tricks.chain(names).chain(schemes) {
        let said = said(&text, AddressPolicy::Public);
        if said != Err(why) {
            wrong.push(format!("{text}: {said:?} and not {why:?}"));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn urls_of_public_hosts_are_normalised() {
    for (text, written) in [
        ("https://hooks.example.com/", "https://hooks.example.com/"),
        ("https://hooks.example.com", "https://hooks.example.com/"),
        ("HTTPS://Hooks.EXAMPLE.com/Path", "https://hooks.example.com/Path"),
        ("https://hooks.example.com:443/", "https://hooks.example.com/"),
        ("https://hooks.example.com:8443/", "https://hooks.example.com:8443/"),
        ("https://hooks.example.com:9001/", "https://hooks.example.com:9001/"),
        ("https://hooks.example.com/a/../b/./c", "https://hooks.example.com/b/c"),
        ("https://hooks.example.com/?q=ü&to=a@b", "https://hooks.example.com/?q=%C3%BC&to=a@b"),
        ("https://hooks.example.com/@user/%20", "https://hooks.example.com/@user/%20"),
        ("https://bücher.example/ü", "https://xn--bcher-kva.example/%C3%BC"),
        ("https://例え.テスト/", "https://xn--r8jz45g.xn--zckzah/"),
        ("https://hooks_v2.example.com/", "https://hooks_v2.example.com/"),
        ("https://1.1.1.1/", "https://1.1.1.1/"),
        ("https://16843009/", "https://1.1.1.1/"),
        ("https://[2606:4700:0:0::1111]/", "https://[2606:4700::1111]/"),
        ("https://internal.example.com/", "https://internal.example.com/"),
        ("https://notinternal.example/", "https://notinternal.example/"),
        ("https://127.0.0.1.example.com/", "https://127.0.0.1.example.com/"),
    ] {
        assert_eq!(said(text, AddressPolicy::Public).as_deref(), Ok(written), "{text}");
        assert_eq!(said(text, AddressPolicy::AndLoopback).as_deref(), Ok(written), "{text}");
    }
}

#[test]
fn the_local_machine_allows_loopback_and_http() {
    for (text, expected) in [
        ("http://127.0.0.1:3000/_local/inbox/a", Ok("http://127.0.0.1:3000/_local/inbox/a")),
        ("http://localhost:3000/", Ok("http://localhost:3000/")),
        ("https://localhost/", Ok("https://localhost/")),
        ("http://[::1]:3000/", Ok("http://[::1]:3000/")),
        ("http://127.9.9.9/", Ok("http://127.9.9.9/")),
        ("http://hooks.example.com/", Ok("http://hooks.example.com/")),
        ("http://127.0.0.1:9001/", Err(BadWebhookUrl::Port)),
        ("http://localhost:9001/", Err(BadWebhookUrl::Port)),
        ("http://[::1]:9001/", Err(BadWebhookUrl::Port)),
        ("http://0x7f.1:9001/", Err(BadWebhookUrl::Port)),
        ("http://127.0.0.1:0/", Err(BadWebhookUrl::Port)),
        ("http://foo.localhost/", Err(LOCALHOST)),
        ("http://localhost./", Err(BadWebhookUrl::TrailingDot)),
        ("http://[::ffff:127.0.0.1]/", Err(ADDRESS)),
        ("http://0.0.0.0:3000/", Err(ADDRESS)),
        ("http://192.168.1.1/", Err(ADDRESS)),
        ("http://169.254.169.254/", Err(ADDRESS)),
        ("http://printer/", Err(BadWebhookUrl::SingleLabel)),
        ("http://user@127.0.0.1/", Err(BadWebhookUrl::UserInfo)),
        ("ftp://127.0.0.1/", Err(BadWebhookUrl::Scheme)),
    ] {
        assert_eq!(said(text, AddressPolicy::AndLoopback), expected.map(str::to_owned), "{text}");
    }
}

#[test]
fn lengths_are_limited_as_given_and_as_normalised() {
    let with_path = |path: &str| said(&format!("https://hooks.example.com/{path}"), AddressPolicy::Public);
    let left = URL_CHARS_MAX - "https://hooks.example.com/".len();
    assert!(with_path(&"a".repeat(left)).is_ok());
    assert_eq!(with_path(&"a".repeat(left + 1)), Err(BadWebhookUrl::TooLong));
    assert!(with_path(&"ü".repeat(left / 6)).is_ok());
    assert_eq!(with_path(&"ü".repeat(left / 6 + 1)), Err(BadWebhookUrl::TooLong));
    let name = |label: usize, more: usize| {
        said(
            &format!("https://{}.{}example.com/", "a".repeat(label), "b.".repeat(more)),
            AddressPolicy::Public,
        )
    };
    assert!(name(63, 0).is_ok());
    assert_eq!(name(64, 0), Err(BadWebhookUrl::Host));
    assert!(name(61, 90).is_ok());
    assert_eq!(name(63, 90), Err(BadWebhookUrl::Host));
}

#[test]
fn a_stored_url_is_read_under_any_policy_and_checked_for_each_request() {
    let url: WebhookUrl = serde_json::from_str("\"http://127.0.0.1:3000/a?b\"").unwrap();
    assert_eq!(serde_json::to_string(&url).unwrap(), "\"http://127.0.0.1:3000/a?b\"");
    assert_eq!(url.check(AddressPolicy::AndLoopback), Ok(()));
    assert_eq!(url.check(AddressPolicy::Public), Err(BadWebhookUrl::Scheme));
    for text in ["", "x", "file:///etc/passwd", "mailto:a@b.example", "https://", "data:,"] {
        assert!(WebhookUrl::stored(text).is_err(), "{text}");
    }
    for (text, why) in [
        ("https://a:b@hooks.example.com/", BadWebhookUrl::UserInfo),
        ("https://hooks.example.com/#a", BadWebhookUrl::Fragment),
        ("https://10.0.0.1/", BadWebhookUrl::Address),
        ("https://hooks.internal/", INTERNAL),
    ] {
        assert_eq!(WebhookUrl::stored(text).unwrap().check(AddressPolicy::Public), Err(why), "{text}");
    }
}

#[test]
fn a_url_has_the_parts_of_a_request() {
    for (text, parts) in [
        ("https://hooks.example.com", ("hooks.example.com", 443, "hooks.example.com", true, "/")),
        ("https://a.example:8443/b/c?d=e", ("a.example", 8443, "a.example:8443", true, "/b/c?d=e")),
        ("http://[::1]:3000?x", ("[::1]", 3000, "[::1]:3000", false, "/?x")),
        ("http://localhost", ("localhost", 80, "localhost", false, "/")),
    ] {
        let url = WebhookUrl::parse(text, AddressPolicy::AndLoopback).unwrap();
        let summary = (url.host(), url.port(), url.authority(), url.is_tls(), url.path_and_query());
        assert_eq!(summary, parts, "{text}");
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(4_096))]

    /// An accepted URL parses again as itself, passes the check, and names no refused address.
    #[test]
    fn an_accepted_url_stays_accepted(
        scheme in "(https?|HTTPS)://",
        host in r"([a-zA-Z0-9.\-_:\[\]@%①②⑦。．\u{ad}ü]{1,24}|[0-9xXa-f.]{1,16}|\[[0-9a-f:.]{2,20}\])",
        rest in r"(:[0-9]{0,6})?(/[\PC]{0,12})?(\?[\PC]{0,12})?",
    ) {
        let text = format!("{scheme}{host}{rest}");
        for policy in [AddressPolicy::Public, AddressPolicy::AndLoopback] {
            let Ok(url) = WebhookUrl::parse(&text, policy) else { continue };
            let again = WebhookUrl::parse(&url.to_string(), policy);
            prop_assert_eq!(again.as_ref(), Ok(&url), "{}", text);
            prop_assert!(url.address().is_none_or(|address| policy.admits(address)), "{}", text);
            prop_assert!(url.path_and_query().starts_with('/'));
            prop_assert!(url.path_and_query().bytes().all(|byte| byte.is_ascii_graphic()), "{}", url);
        }
    }
}
