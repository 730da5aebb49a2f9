import Contract
import Testing

@testable import Interceptor

// Texts for people: the English one, and the parts that C has translated.

@Suite struct MessageTests {
  struct Filled: Sendable {
    let message: Message
    let english: String
    let parts: String
  }

  @Test(arguments: [
    Filled(message: Message("nothing to fill"), english: "nothing to fill", parts: "nothing to fill|"),
    Filled(
      message: Message("%1$s on %2$s", [UInt8]("DROP"), [UInt8]("a.b")), english: "DROP on a.b",
      parts: "%1$s on %2$s|DROP|a.b|"),
    Filled(message: Message("%2$s %1$s", [UInt8]("a"), [UInt8]("b")), english: "b a", parts: "%2$s %1$s|a|b|"),
    Filled(message: Message("100 %%, %1$s", [UInt8]("%1$s")), english: "100 %, %1$s", parts: "100 %%, %1$s|%1$s|"),
    Filled(message: Message("%1$s", []), english: "", parts: "%1$s||"),
    Filled(
      message: Message("invalid action", quoting: [UInt8]("%n")), english: #"invalid action "%n""#,
      parts: #"invalid action "%1$s"|%n|"#),
    // What asks for a place that is not filled stays as it is: a text, never a crash.
    Filled(message: Message("%1$s %2$s %0$s %", [UInt8]("a")), english: "a %2$s %0$s %", parts: "%1$s %2$s %0$s %|a|"),
  ])
  func places(_ scenario: Filled) {
    #expect(String(decoding: scenario.message.english, as: UTF8.self) == scenario.english)
    let parts = scenario.message.parts.map { String(decoding: $0.map { $0 == 0 ? 124 : $0 }, as: UTF8.self) }
    #expect(parts == scenario.parts)
  }

  @Test func `a zero byte in an argument leaves the text untranslated`() {
    #expect(Message("%1$s", [65, 0, 66]).parts == nil)
  }
}
