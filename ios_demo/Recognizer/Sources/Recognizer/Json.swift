import Foundation

/// A JSON value. It keeps what is null apart from what is missing.
public enum Json: Encodable, Equatable, Sendable {
    case null
    case truth(Bool)
    case number(Double)
    case text(String)
    case list([Json])
    case object([String: Json])

    static let mostBytes = 4 << 20  // of a manifest

    /// Reads a text. Throws `BundleError` for what is no JSON, too long or too deep.
    public static func parse(_ data: Data) throws -> Json {
        guard data.count <= mostBytes else {
            throw BundleError("more than \(mostBytes) bytes are no manifest: export again")
        }
        var reader = JsonReader(Array(data))
        return try reader.whole()
    }

    public func encode(to encoder: any Encoder) throws {
        var value = encoder.singleValueContainer()
        switch self {
        case .null: try value.encodeNil()
        case .truth(let truth): try value.encode(truth)
        case .number(let number): try value.encode(number)
        case .text(let text): try value.encode(text)
        case .list(let list): try value.encode(list)
        case .object(let object): try value.encode(object)
        }
    }

    /// The text, keys in order. Throws for a number that is not finite.
    public func written() throws -> Data {
        let encoder = JSONEncoder()
        encoder.outputFormatting = [.prettyPrinted, .sortedKeys, .withoutEscapingSlashes]
        return try encoder.encode(self)
    }
}

extension Json {
    /// Null for a value that is not there.
    static func orNull<T>(_ value: T?, _ make: (T) -> Json) -> Json { value.map(make) ?? .null }

    static func whole(_ value: some BinaryInteger) -> Json { .number(Double(value)) }
}
