import Contract
import Testing

// What flows from a column into a copy, and which mask the copy gets.

private let none = WARDEN_FLOW_NONE
private let tested = WARDEN_FLOW_TESTED
private let changed = WARDEN_FLOW_CHANGED
private let whole = WARDEN_FLOW_WHOLE

@Suite struct LineageTests {
  /// Passages from the copy back to the column, and what arrives of a column that is no boolean, and of one that is.
  @Test(arguments: [
    ([], whole, whole),
    ([WARDEN_PASSAGE_VALUE], whole, whole),
    ([WARDEN_PASSAGE_VALUE, WARDEN_PASSAGE_WORK, WARDEN_PASSAGE_VALUE], changed, changed),
    ([WARDEN_PASSAGE_TEST], none, changed),
    ([WARDEN_PASSAGE_WORK, WARDEN_PASSAGE_TEST, WARDEN_PASSAGE_VALUE], none, changed),
    ([WARDEN_PASSAGE_TEST, WARDEN_PASSAGE_WORK], none, changed),
    ([WARDEN_PASSAGE_COUNT], none, none),
    ([WARDEN_PASSAGE_COUNT, WARDEN_PASSAGE_VALUE], none, none),
    ([WardenPassage(rawValue: 99)], changed, changed),
  ])
  func whatArrives(_ passages: [WardenPassage], _ plain: WardenFlow, _ boolean: WardenFlow) {
    let flow = passages.reduce(whole) { warden_flow_through($0, $1) }
    #expect(warden_flow_from(flow, false) == plain)
    #expect(warden_flow_from(flow, true) == boolean)
  }

  struct Source: Sendable {
    let flow: WardenFlow
    let method: String
    var options = "{}"
  }

  @Test(arguments: [
    ([], Int64(WARDEN_DERIVED_NOTHING)),
    ([Source(flow: none, method: "email")], Int64(WARDEN_DERIVED_NOTHING)),
    ([Source(flow: whole, method: "email")], 0),
    ([Source(flow: none, method: "redact"), Source(flow: whole, method: "email")], 1),
    ([Source(flow: whole, method: "email"), Source(flow: whole, method: "email")], 0),
    ([Source(flow: changed, method: "email")], Int64(WARDEN_DERIVED_REDACT)),
    ([Source(flow: whole, method: "email"), Source(flow: changed, method: "email")], Int64(WARDEN_DERIVED_REDACT)),
    ([Source(flow: whole, method: "email"), Source(flow: whole, method: "hash")], Int64(WARDEN_DERIVED_REDACT)),
    (
      [Source(flow: whole, method: "partial", options: "{\"prefix\": 1}"), Source(flow: whole, method: "partial")],
      Int64(WARDEN_DERIVED_REDACT)
    ),
    ([Source(flow: tested, method: "email")], Int64(WARDEN_DERIVED_REDACT)),
  ])
  func masksOfCopies(_ sources: [Source], _ chosen: Int64) {
    let bytes = sources.map { (method: Array($0.method.utf8), options: Array($0.options.utf8)) }
    let buffers = bytes.map { (lend($0.method), lend($0.options)) }
    defer {
      for (method, options) in buffers {
        method.deallocate()
        options.deallocate()
      }
    }
    let facts = zip(sources, buffers).map { source, buffer in
      WardenDerivedSource(flow: source.flow, method: text(buffer.0), options: text(buffer.1))
    }
    #expect(facts.withUnsafeBufferPointer { warden_derived_mask($0.baseAddress, Int64($0.count)) } == chosen)
  }

  private func lend(_ bytes: [UInt8]) -> UnsafeMutableBufferPointer<UInt8> {
    let buffer = UnsafeMutableBufferPointer<UInt8>.allocate(capacity: bytes.count)
    _ = buffer.initialize(from: bytes)
    return buffer
  }

  private func text(_ buffer: UnsafeMutableBufferPointer<UInt8>) -> WardenText {
    WardenText(bytes: UnsafePointer(buffer.baseAddress), length: Int64(buffer.count))
  }
}
