import Contract
import Testing

// Networks and hours of guards: who is meant where, and when.

private let reading = TestStatement(command: "SELECT", classes: WARDEN_CLASS_READ)

private func version4(_ a: UInt64, _ b: UInt64, _ c: UInt64, _ d: UInt64, bits: Int32 = 32) -> WardenNetwork {
  WardenNetwork(high: 0, low: 0xFFFF << 32 | a << 24 | b << 16 | c << 8 | d, prefix: bits + 96)
}

private func version6(_ high: UInt64, _ low: UInt64, bits: Int32 = 128) -> WardenNetwork {
  WardenNetwork(high: high, low: low, prefix: bits)
}

private let nowhere = WardenNetwork(high: 0, low: 0, prefix: -1)

extension PolicyTests {
  @Suite struct PlaceAndTimeTests {
    struct Place: Sendable, CustomTestStringConvertible {
      let testDescription: String
      let networks: [WardenNetwork]
      let client: WardenNetwork
      let isMeant: Bool
    }

    private static let privateNetwork = version4(10, 0, 0, 0, bits: 8)
    private static let local6 = version6(0xFD00_0000_0000_0000, 0, bits: 8)
    private static let any4 = version4(0, 0, 0, 0, bits: 0)
    private static let any6 = version6(0, 0, bits: 0)

    @Test(arguments: [
      Place(testDescription: "in it", networks: [privateNetwork], client: version4(10, 1, 2, 3), isMeant: true),
      Place(testDescription: "its first", networks: [privateNetwork], client: version4(10, 0, 0, 0), isMeant: true),
      Place(
        testDescription: "its last", networks: [privateNetwork], client: version4(10, 255, 255, 255), isMeant: true),
      Place(
        testDescription: "before it", networks: [privateNetwork], client: version4(9, 255, 255, 255), isMeant: false),
      Place(testDescription: "behind it", networks: [privateNetwork], client: version4(11, 0, 0, 0), isMeant: false),
      Place(
        testDescription: "one of two", networks: [local6, privateNetwork], client: version4(10, 1, 2, 3), isMeant: true),
      Place(
        testDescription: "a single address", networks: [version4(192, 0, 2, 7)], client: version4(192, 0, 2, 7),
        isMeant: true),
      Place(
        testDescription: "its neighbour", networks: [version4(192, 0, 2, 7)], client: version4(192, 0, 2, 6),
        isMeant: false),
      Place(testDescription: "a Unix socket", networks: [any4, any6], client: nowhere, isMeant: false),
      Place(
        testDescription: "no address, but bits", networks: [any6],
        client: version6(0xFD00_0000_0000_0000, 0, bits: 0), isMeant: false),
      Place(
        testDescription: "IPv6", networks: [local6], client: version6(0xFDAB_0000_0000_0000, 1), isMeant: true),
      Place(
        testDescription: "other IPv6", networks: [local6], client: version6(0xFE80_0000_0000_0000, 1), isMeant: false),
      Place(
        testDescription: "beyond 64 bits", networks: [version6(1, 0xFF00_0000_0000_0000, bits: 72)],
        client: version6(1, 0xFF12_0000_0000_0000), isMeant: true),
      Place(
        testDescription: "just not", networks: [version6(1, 0xFF00_0000_0000_0000, bits: 72)],
        client: version6(1, 0xFE12_0000_0000_0000), isMeant: false),
      Place(testDescription: "all of IPv4", networks: [any4], client: version4(8, 8, 8, 8), isMeant: true),
      Place(testDescription: "all of IPv4 is not IPv6", networks: [any4], client: version6(1, 1), isMeant: false),
      Place(testDescription: "all of IPv6", networks: [any6], client: version6(1, 1), isMeant: true),
      Place(testDescription: "all of IPv6 is not IPv4", networks: [any6], client: version4(8, 8, 8, 8), isMeant: false),
      Place(
        testDescription: "bits behind the prefix", networks: [version4(10, 9, 9, 9, bits: 8)],
        client: version4(10, 1, 1, 1), isMeant: true),
    ])
    func networks(_ scenario: Place) {
      for action in ["block", "allow"] {
        load([TestGuard(action: action, networks: scenario.networks)])
        var session = TestSession()
        session.client = scenario.client
        #expect(reading.decide(session).guardName == (scenario.isMeant ? "g" : nil))
      }
    }

    struct Time: Sendable {
      let hours: String
      let minute: Int16
      let isWithin: Bool
    }

    @Test(arguments: [
      Time(hours: "08:00-16:30", minute: 479, isWithin: false),
      Time(hours: "08:00-16:30", minute: 480, isWithin: true),
      Time(hours: "08:00-16:30", minute: 989, isWithin: true),
      Time(hours: "08:00-16:30", minute: 990, isWithin: false),
      Time(hours: "22:00-06:00", minute: 1319, isWithin: false),
      Time(hours: "22:00-06:00", minute: 1320, isWithin: true),
      Time(hours: "22:00-06:00", minute: 0, isWithin: true),
      Time(hours: "22:00-06:00", minute: 359, isWithin: true),
      Time(hours: "22:00-06:00", minute: 360, isWithin: false),
      Time(hours: "00:00-24:00", minute: 0, isWithin: true),
      Time(hours: "00:00-24:00", minute: 1439, isWithin: true),
      Time(hours: "23:59-00:00", minute: 1439, isWithin: true),
      Time(hours: "23:59-00:00", minute: 0, isWithin: false),
      Time(hours: "20:00-24:00", minute: 1439, isWithin: true),
      Time(hours: "20:00-24:00", minute: 0, isWithin: false),
    ])
    func hours(_ scenario: Time) {
      for action in ["block", "allow"] {
        load([TestGuard(action: action, hours: scenario.hours, hoursZone: 1)])
        var session = TestSession()
        session.minutes = [720, scenario.minute, 720]
        #expect(reading.decide(session).guardName == (scenario.isWithin ? "g" : nil))
      }
    }

    @Test(arguments: [Int32.min, -1, 1, Int32.max]) func `where the time cannot be told, what restricts holds`(
      zone: Int32
    ) {
      var session = TestSession()
      session.minutes = [-1]
      load([TestGuard(hours: "08:00-16:00 Moon/Base", hoursZone: zone)])
      #expect(reading.decide(session).guardName == "g")
      load([TestGuard(hours: "08:00-16:00", hoursZone: 0)])
      #expect(reading.decide(session).guardName == "g")
      load([TestGuard(action: "allow", hours: "08:00-16:00 Moon/Base", hoursZone: zone)])
      #expect(reading.decide(session).guardName == nil)
    }
  }
}
