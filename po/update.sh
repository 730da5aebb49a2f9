#!/usr/bin/env bash
# The texts that can be translated, gathered into po/pg_warden.pot: those of Swift's messages, and those that C gives to
# ereport. Needs gettext and perl.
#
#   po/update.sh            writes the template, and brings every po/*.po up to date with it
#   po/update.sh --check    fails where a text is missing in the template, or a catalogue is not sound
set -euo pipefail
export LC_ALL=C.UTF-8

cd "$(dirname "${BASH_SOURCE[0]}")/.."
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

# Swift's literals as C would write them: of Message("…"), and of PolicyError(state, "opening", value, hint: "…"), which
# continues its opening by the bad value.
swift_messages() {
    perl -0777 -ne '
        my $literal = qr/"""\n(?:.*?)"""|"(?:[^"\\]|\\.)*"/s;
        sub plain {
            my $text = shift;
            if ($text =~ /^"""\n(.*?)\n( *)"""$/s) {
                my ($body, $indent) = ($1, $2);
                $body =~ s/^$indent//mg;
                $body =~ s/\\\n//g;
                return qq("$body");
            }
            return $text;
        }
        sub found { my ($text, $place) = @_; $text =~ s/"$/$place"/; print "gettext($text);\n" }
        while (/\bMessage\(\s*($literal)(\s*,\s*quoting:)?/g) {
            my ($text, $quoting) = ($1, $2);
            found(plain($text), $quoting ? q( \"%1$s\") : "");
        }
        while (/\bPolicyError\(\s*\.\w+,\s*($literal)(\s*,\s*(?!hint:|\s)[^;]*?)?\s*,\s*hint:\s*($literal)?/g) {
            my ($opening, $value, $hint) = ($1, $2, $3);
            found(plain($opening), $value ? q( \"%1$s\") : "");
            found(plain($hint), "") if $hint;
        }' "$@"
}

extract() {
    swift_messages Sources/Interceptor/*.swift >"$work/swift.c"
    # no header with a date in it, no line numbers: the file changes when a text does
    xgettext --language=C --from-code=UTF-8 --sort-output --no-location --no-wrap --omit-header \
        --keyword=gettext --keyword=errmsg --keyword=errdetail --keyword=errhint --keyword=gettext_noop --keyword=_ \
        --flag=errmsg:1:c-format --flag=errdetail:1:c-format --flag=errhint:1:c-format --flag=gettext:1:c-format \
        --output="$1" "$work/swift.c" Sources/CShim/*.c
}

if [[ ${1:-} != --check ]]; then
    extract "$work/new.pot"
    { printf 'msgid ""\nmsgstr ""\n"Content-Type: text/plain; charset=UTF-8\\n"\n\n'; cat "$work/new.pot"; } >po/pg_warden.pot
    for catalogue in po/*.po; do
        msgmerge --quiet --no-fuzzy-matching --no-wrap --sort-output --update --backup=none "$catalogue" po/pg_warden.pot
        msgattrib --no-obsolete --no-wrap --sort-output -o "$catalogue" "$catalogue"
        echo "$catalogue: $(msgfmt --check --statistics -o /dev/null "$catalogue" 2>&1)"
    done
    exit
fi

extract "$work/new.pot"
grep '^msgid ' "$work/new.pot" | sort >"$work/wanted"
grep '^msgid ' po/pg_warden.pot | grep -v '^msgid ""$' | sort >"$work/there"
if ! diff "$work/there" "$work/wanted"; then
    echo "po/pg_warden.pot is not what the sources say: run po/update.sh" >&2
    exit 1
fi
for catalogue in po/*.po; do msgfmt --check -o /dev/null "$catalogue"; done
