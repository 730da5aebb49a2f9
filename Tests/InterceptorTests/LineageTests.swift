import Contract
import Testing

// What flows from a column into a copy, and which mask the copy gets.

private let none = WARDEN_FLOW_NONE
private let tested = WARDEN_FLOW_TESTED
private let changed = WARDEN_FLOW_CHANGED
private let whole = WARDEN_FLOW_WHOLE

@Suite struct LineageTests {
  /// Passages from the copy back to the column, and what arrives of a column that is no boolean, and of one that is.
  struct Way: Sendable {
    let passages: [WardenPassage]
    let plain: WardenFlow
    let boolean: WardenFlow

    init(_ passages: [WardenPassage], _ plain: WardenFlow, _ boolean: WardenFlow) {
      self.passages = passages
      self.plain = plain
      self.boolean = boolean
    }
  }

  private static let value = WARDEN_PASSAGE_VALUE
  private static let work = WARDEN_PASSAGE_WORK
  private static let test = WARDEN_PASSAGE_TEST
  private static let count = WARDEN_PASSAGE_COUNT

  static let ways: [Way] = [
    Way([], whole, whole),
    Way([value], whole, whole),
    Way([value, work, value], changed, changed),
    Way([test], none, changed),
    Way([work, test, value], none, changed),
    Way([test, work], none, changed),
    Way([count], none, none),
    Way([count, value], none, none),
    Way([WardenPassage(rawValue: 99)], changed, changed),
  ]

  @Test(arguments: ways) func whatArrives(_ way: Way) {
    let flow = way.passages.reduce(whole) { warden_flow_through($0, $1) }
    #expect(warden_flow_from(flow, false) == way.plain)
    #expect(warden_flow_from(flow, true) == way.boolean)
  }

  struct Source: Sendable {
    let flow: WardenFlow
    let method: String
    let options: String

    init(_ flow: WardenFlow, _ method: String = "email", _ options: String = "{}") {
      self.flow = flow
      self.method = method
      self.options = options
    }
  }

  struct Choice: Sendable {
    let sources: [Source]
    let chosen: Int64

    init(_ sources: [Source], _ chosen: Int64) {
      self.sources = sources
      self.chosen = chosen
    }
  }

  private static let redact: Int64 = -1
  private static let nothing: Int64 = -2

  static let choices: [Choice] = [
    Choice([], nothing),
    Choice([Source(none)], nothing),
    Choice([Source(whole)], 0),
    Choice([Source(none, "redact"), Source(whole)], 1),
    Choice([Source(whole), Source(whole)], 0),
    Choice([Source(changed)], redact),
    Choice([Source(whole), Source(changed)], redact),
    Choice([Source(whole), Source(whole, "hash")], redact),
    Choice([Source(whole, "partial", "{\"prefix\": 1}"), Source(whole, "partial")], redact),
    Choice([Source(tested)], redact),
  ]

  @Test(arguments: choices) func masksOfCopies(_ choice: Choice) {
    let sources = choice.sources
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
    #expect(facts.withUnsafeBufferPointer { warden_derived_mask($0.baseAddress, Int64($0.count)) } == choice.chosen)
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
