//! What counts as a destination, and what it is registered as.

use super::*;

/// One of each syntax, a line each.
const TAGS: &str = "*|UNIQID|*
    -customerID-
    %customerID%
    {{email}}
    {{{x}}}
    {{ email }}
    {{ person|lookup:'Prop' }}
    {{ name|default:'' }}
    {{ contact.email }}
    {{ .Subscriber.UUID }}
    {contactfield=id}
    {contactfield=name|dear friend}
    %%_subscriberkey%%
    %%=v(@x)=%%
    {{lead.Email Address}}
    {{lead.Id:default=x}}
    {% cio_link %}
    {{${user_id}}}
    {{custom_attribute.${x}}}
    [email]
    [firstname,fallback=x]
    {$email}
    %EMAIL%
    %SUBSCRIBERID%
    %DATE%
    %FACEBOOK_ID%
    [[trackingImage]]
    {{profile.x}}
    <%= recipient.x %>
    <%@ value %>
    {x}
    [x]
    #pf:X#
    [* x *]
    ${name}
    %7B%7Bemail%7D%7D
    %7b%7B%7Bemail%7d%7d%7d
    %257B%257Bemail%257D%257D
    *%7CEMAIL%7C*
    %5Bemail%5D
    &#123;{email}&#x7d;
    %3C%25= x %25%3E";

#[test]
fn what_is_no_destination_stays_and_says_why() {
    for (tag, expected) in [
        ("<a href>", Reason::Empty),
        ("<a href=\"  \">", Reason::Empty),
        ("<a href=\"#top\">", Reason::Relative),
        ("<a href=\"/a?u=http://x.example\">", Reason::Relative),
        ("<a href=\"//x.example\">", Reason::Relative),
        ("<a href=\"mailto:a@x.example\">", Reason::OtherScheme),
        ("<a href=\"tel:+1\">", Reason::OtherScheme),
        ("<a href=\"sms:1\">", Reason::OtherScheme),
        ("<a href=\"cid:1\">", Reason::OtherScheme),
        ("<a href=\"data:text/html,http://x\">", Reason::OtherScheme),
        (
            "<a href=\"java\nscript:go('http://x.example')\">",
            Reason::OtherScheme,
        ),
        ("<a href=\"{{ action_url }}\">", Reason::MergeTag),
        ("<a href={{ action_url }}>", Reason::MergeTag),
        ("<a href=\"*|UNSUB|*\">", Reason::MergeTag),
        ("<a href=\" %%unsub%% \">", Reason::MergeTag),
        ("<a href=\"[[UNSUBSCRIBE]]\">", Reason::MergeTag),
        ("<a href=\"<%= link %>\">", Reason::MergeTag),
        ("<a href=\"-unsubscribe-\">", Reason::MergeTag),
        ("<a href=\"{{base}}/x\">", Reason::TagInOrigin),
        ("<a href=\"http{{s}}://x.example/\">", Reason::TagInOrigin),
        ("<a href=\"https://{{host}}/x\">", Reason::TagInOrigin),
        (
            "<a href=\"https://{{user}}@x.example/x\">",
            Reason::TagInOrigin,
        ),
        (
            "<a href=\"https://x.example:{{port}}/\">",
            Reason::TagInOrigin,
        ),
        (
            "<a href=\"https://x.example{{rest}}\">",
            Reason::TagInOrigin,
        ),
        ("<a href=\"https:///{{host}}\">", Reason::TagInOrigin),
        ("<a href=\"https://\">", Reason::Invalid),
        ("<a href=\"https://a b/\">", Reason::Invalid),
        (
            "<a href=\"https://T.example/c/x/1\">",
            Reason::AlreadyTracked,
        ),
        (
            "<a href=\"https://t.example/u/{{t}}/{{a}}/0\">",
            Reason::AlreadyTracked,
        ),
        (
            "<a data-cupel=\"off\" href=\"https://x.example/\">",
            Reason::OptedOut,
        ),
    ] {
        assert_eq!(reason(tag), expected, "{tag}");
    }
    let many = format!(
        "<a href=\"https://x.example/?{}\">",
        "{{a}}".repeat(TAGS_PER_LINK_MAX + 1)
    );
    assert_eq!(reason(&many), Reason::TooManyTags);
}

#[test]
fn tags_of_every_sender_become_placeholders() {
    for tag in TAGS.lines().map(str::trim) {
        for (head, tail) in [
            ("https://x.example/p?e=", ""),
            ("https://x.example/p?e=", "&f=1#z"),
            ("https://x.example/p/", "/q"),
            ("https://x.example/#", ""),
        ] {
            let (form, values) = registered(&format!("{head}{tag}{tail}"));
            assert_eq!(form, format!("{head}{{v1}}{tail}"), "{tag}");
            assert_eq!(values, [tag], "as it stood");
        }
    }
}

#[test]
fn what_urls_use_themselves_is_no_tag() {
    for url in [
        "https://x.example/summer-sale-2024",
        "https://x.example/?d=2024-01-02&amp;x=a-b-c",
        "https://x.example/caf%C3%A9%20au%20lait",
        "https://x.example/?q=100%25%20off%25",
        "https://x.example/?filter[name]=a&amp;ids[]=1&amp;a[0]=b&amp;f%5Bn%5D=1",
        "https://[2001:db8::1]:8080/",
        "https://x.example/?j={\"a\":1}"
            .replace('"', "&#34;")
            .as_str(),
        "https://x.example/*/*?a=*",
        "https://x.example/#section",
        "https://x.example/?a=1%2C2&amp;b=%",
    ] {
        assert_eq!(registered(url).1, Vec::<String>::new(), "{url}");
    }
    // Two tags, a literal of our own form, and one that only becomes it without its line end.
    let (form, values) = registered("https://x.example/{v1}?a={v2}&amp;b={v&#10;1}");
    assert_eq!(form, "https://x.example/{v1}?a={v2}&b={%761}");
    assert_eq!(values, ["{v1}", "{v2}"]);
}

#[test]
fn a_block_is_one_value_or_left_alone() {
    for (url, form) in [
        (
            "https://x.example/{{#if a}}p{{else}}q{{/if}}/r?e={{e}}",
            "https://x.example/{v1}/r?e={v2}",
        ),
        (
            "https://x.example/?s={% if a %}{{ b }}{% endif %}",
            "https://x.example/?s={v1}",
        ),
        (
            "https://x.example/*|IF:A|*p*|END:IF|*",
            "https://x.example/{v1}",
        ),
        (
            "https://x.example/{{ end_date }}{{ format }}",
            "https://x.example/{v1}{v2}",
        ),
    ] {
        assert_eq!(registered(url).0, form);
    }
    for url in [
        "https://x.example/{{#if a}}?a=1{{/if}}",
        "https://x.example/{{ if .A }}",
    ] {
        assert_eq!(reason(&format!("<a href=\"{url}\">")), Reason::Block);
    }
}

#[test]
fn entities_in_values_are_read_as_html5_says() {
    for (value, form) in [
        (
            "http://x.example/?a=1&amp;b=2&copy=3&lt=4&para;",
            "http://x.example/?a=1&b=2&copy=3&lt=4¶",
        ),
        (
            "http://x.example/?a=1&b=&notit;&#38;c",
            "http://x.example/?a=1&b=&notit;&c",
        ),
        ("http&colon;//x.example&sol;a", "http://x.example/a"),
    ] {
        assert_eq!(registered(value).0, form);
    }
}
