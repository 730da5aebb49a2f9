import Contract
import Testing

// Members of JSON, masked by paths.

@Suite struct MaskJSONTests {
  private static func mask(
    _ json: String, _ plan: String, _ encoding: WardenEncoding = WARDEN_ENCODING_UTF8, room: Int = 4096
  ) -> (result: WardenJSONResult, text: String) {
    let arena = Arena()
    let value = arena.text(json)
    var (work, out) = (arena.buffer(Int(value.length) * 4 + 64), arena.buffer(room))
    let result = warden_mask_json(value, arena.text(plan), encoding, &work, &out)
    return (result, result == WARDEN_JSON_MASKED ? string(out) : "")
  }

  static let masked = [
    (#"{"a":"x","b":"y"}"#, "redact a", #"{"a":"[redacted]","b":"y"}"#),
    (#"{"a":"x"}"#, "redact $.a", #"{"a":"[redacted]"}"#),
    (#"{ "a" : "x" , "b" : 1.50 }"#, "redact a", #"{ "a" : "[redacted]" , "b" : 1.50 }"#),
    (#"{"a":1,"b":true,"c":null,"d":{"x":1},"e":[1]}"#, "redact *", #"{"a":0,"b":false,"c":null,"d":{},"e":[]}"#),
    (#"{"a":{"b":{"c":"x"}},"c":"y"}"#, "redact a.b.c", #"{"a":{"b":{"c":"[redacted]"}},"c":"y"}"#),
    (#"{"a":[{"b":"x"},{"b":"y","c":1}]}"#, "redact a[*].b", #"{"a":[{"b":"[redacted]"},{"b":"[redacted]","c":1}]}"#),
    (#"{"a":[{"b":"x"},[{"b":"y"}]]}"#, "redact a.b", #"{"a":[{"b":"[redacted]"},[{"b":"[redacted]"}]]}"#),
    (#"{"a":{"b":"x"}}"#, "redact a[*].b", #"{"a":{"b":"[redacted]"}}"#),
    (#"{"a":["x","y","z"]}"#, "redact a[1]", #"{"a":["x","[redacted]","z"]}"#),
    (
      #"{"x":{"e":"1"},"y":[{"z":{"e":"2"}}],"e":"3"}"#, "redact **.e",
      #"{"x":{"e":"[redacted]"},"y":[{"z":{"e":"[redacted]"}}],"e":"[redacted]"}"#
    ),
    (#"{"em\u0061il":"x"}"#, "redact email", #"{"em\u0061il":"[redacted]"}"#),
    (#"{"e":"x","e":"y"}"#, "redact e", #"{"e":"[redacted]","e":"[redacted]"}"#),
    (#"{"a.b":"x","a":{"b":"y"}}"#, #"redact "a.b""#, #"{"a.b":"[redacted]","a":{"b":"y"}}"#),
    (#"{"é":"x"}"#, "redact é", #"{"é":"[redacted]"}"#), (#"{"\u00e9":"x"}"#, "redact é", #"{"\u00e9":"[redacted]"}"#),
    (#"{"\ud83d\ude00":"x"}"#, "redact 😀", #"{"\ud83d\ude00":"[redacted]"}"#),
    (#"{"\ud83d":"x"}"#, "redact a", #"{"\ud83d":"[redacted]"}"#),
    (#""x""#, "redact $", #""[redacted]""#), ("12", "redact **", "0"), ("[]", "redact a", "[]"),
    ("{}", "redact $", "{}"),
    (
      #"{"n":12345678901234567890.123456789,"m":1e400}"#, "redact x", #"{"n":12345678901234567890.123456789,"m":1e400}"#
    ),
    (
      #"{"e":"bob@raw.example","f":["a@b.de",1],"g":{"x":1}}"#, "email *",
      #"{"e":"b***@***.example","f":["a***@***.de",0],"g":{}}"#
    ),
    (#"{"c":"4111111111111111","d":"123"}"#, "last4 *", #"{"c":"***1111","d":"***"}"#),
    (#"{"c":{"d":1}}"#, "null c", #"{"c":null}"#), (#"{"c":"x"}"#, "email c\nnull **.c", #"{"c":null}"#),
    (#"{"c":"x","d":"y"}"#, "null c\nredact c", #"{"c":"[redacted]","d":"y"}"#),
    (
      #"{"t":"mail a@b.de \"now\"\n","a@b.de":4111111111111111,"n":5}"#, "scrub **",
      #"{"t":"mail [email] \"now\"\u000a","[email]":0,"n":5}"#
    ),
    (#"{"t":"a\u0040b.de","u":"caf\u00e9"}"#, "scrub **", #"{"t":"[email]","u":"caf\u00e9"}"#),
    (#"{"t":"a\u0000b"}"#, "scrub t", #"{"t":"[redacted]"}"#),
    (#"{"a":"\\\"x","b":"}]"}"#, "redact a", #"{"a":"[redacted]","b":"}]"}"#),
  ]

  @Test(arguments: masked) func masksWhatThePathsName(_ json: String, _ plan: String, _ wanted: String) {
    #expect(Self.mask(json, plan).text == wanted)
  }

  @Test func whatCannotBeReadIsRefused() {
    for json in [
      "", "{", "[", "[1", #"{"a"}"#, #"{"a":}"#, #"{"a":"x"#, "[1]]", "[1 2]", #"{"a":"x\"#, "{1:2}", "\u{1}",
    ] {
      #expect(Self.mask(json, "redact a").result == WARDEN_JSON_REFUSED, "\(json)")
    }
    for plan in [
      "", "redact", "redact ", "hash a", "redact a..b", "redact a[", "redact a[x]", "redact a]", "redact a\n",
      "redact \"a",
    ] {
      #expect(
        Self.mask("{}", plan).result == (plan == "redact a\n" ? WARDEN_JSON_MASKED : WARDEN_JSON_REFUSED), "\(plan)")
    }
    let many = Array(repeating: "redact a.b.c.d.e.f.g", count: 40).joined(separator: "\n")
    #expect(Self.mask("{}", many).result == WARDEN_JSON_REFUSED)
  }

  @Test func depthIsLimited() {
    let deep = String(repeating: "[", count: 100_000) + String(repeating: "]", count: 100_000)
    #expect(Self.mask(deep, "redact a", room: 300_000).result == WARDEN_JSON_REFUSED)
    #expect(Self.mask(deep, "redact $", room: 300_000).text == "[]")
    let shallow = String(repeating: "[", count: 900) + String(repeating: "]", count: 900)
    #expect(Self.mask(shallow, "redact a").text == shallow)
  }

  @Test func noRoomIsTold() {
    #expect(Self.mask(#"["",""]"#, "redact [*]", room: 20).result == WARDEN_JSON_NO_ROOM)
    #expect(Self.mask(#"["",""]"#, "redact [*]", room: 30).text == #"["[redacted]","[redacted]"]"#)
  }

  @Test func otherEncodingsKeepTheirBytes() {
    #expect(
      Self.mask(#"{"a":"é@b.de","b":"é"}"#, "scrub a", WARDEN_ENCODING_OPAQUE).text == #"{"a":"[redacted]","b":"é"}"#)
    // What is escaped may be any name, and any text.
    #expect(Self.mask(#"{"\u00e9":"x"}"#, "redact a", WARDEN_ENCODING_SINGLE_BYTE).text == #"{"\u00e9":"[redacted]"}"#)
    #expect(Self.mask(#"{"a":"\u00e9"}"#, "scrub a", WARDEN_ENCODING_SINGLE_BYTE).text == #"{"a":"[redacted]"}"#)
  }
}
