import Foundation
import FuzzCases
import Testing

/// The core with facts, policies and memory that no server would bring: `make fuzz` searches for long, guided by coverage;
/// here are what it found, and some thousand inputs that are the same in each run.
extension PolicyTests {
  @Suite struct FuzzTests {
    /// Inputs that led somewhere: one a line, in hexadecimal digits.
    static let corpus: [[UInt8]] = {
      let file = URL(fileURLWithPath: #filePath).deletingLastPathComponent()
        .appendingPathComponent("../FuzzCases/corpus.txt")
      let lines = (try? String(contentsOf: file, encoding: .utf8))?.split(separator: "\n") ?? []
      return lines.filter { !$0.hasPrefix("#") }.map { line in
        let digits = Array(line.utf8)
        return stride(from: 0, to: digits.count - 1, by: 2).compactMap {
          UInt8(String(decoding: digits[$0...$0 + 1], as: UTF8.self), radix: 16)
        }
      }
    }()

    private func random(_ count: Int, seed: UInt64) -> [[UInt8]] {
      var generator = SeededGenerator(state: seed)
      return (0..<count).map { _ in
        (0..<Int.random(in: 1...256, using: &generator)).map { _ in UInt8.random(in: 0...255, using: &generator) }
      }
    }

    private func run(_ inputs: [[UInt8]]) {
      for input in inputs {
        let complaint = input.withUnsafeBufferPointer { runFuzzCase($0) }
        #expect(complaint == nil, "\(input.map { String(format: "%02x", $0) }.joined())")
      }
    }

    @Test func whatWasFoundOnce() {
      #expect(!Self.corpus.isEmpty)
      run(Self.corpus)
    }

    @Test func randomInputs() { run(random(500, seed: 4)) }

    /// The same inputs again and again: a core that keeps something of each call grows by it.
    @Test func memoryDoesNotGrow() throws {
      let inputs = random(100, seed: 5)
      for _ in 1...3 { run(inputs) }
      let before = try residentPages()
      for _ in 1...10 { run(inputs) }
      let grown = try (residentPages() - before) * Int(getpagesize())
      // Other tests run beside this one; `make fuzz` counts what each call allocates.
      #expect(grown < 32_000_000)
    }

    private func residentPages() throws -> Int {
      let fields = try String(contentsOfFile: "/proc/self/statm", encoding: .utf8).split(separator: " ")
      return try #require(Int(fields[1]))
    }
  }
}
