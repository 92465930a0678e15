// Stand-in for AVFoundation: what the app uses of it, with the iOS that has it first. Classes are not
// Sendable, so that the compiler finds one that crosses actors.
@_exported import CoreMedia
import UIKit

public struct AVMediaType: Sendable { public static let video = AVMediaType() }  // iOS 4.0
public enum AVAuthorizationStatus: Int, Sendable { case notDetermined, restricted, denied, authorized }  // iOS 7.0

public class AVCaptureInput: NSObject {}  // iOS 4.0
public class AVCaptureDevice: NSObject {  // iOS 4.0
    public enum Position: Int, Sendable { case unspecified, back, front }  // iOS 4.0
    public struct DeviceType: Sendable { public static let builtInWideAngleCamera = DeviceType() }  // iOS 10.0
    public static func authorizationStatus(for type: AVMediaType) -> AVAuthorizationStatus { fatalError() }  // iOS 7.0
    public static func requestAccess(for type: AVMediaType) async -> Bool { fatalError() }  // iOS 7.0
    public static func `default`(_ t: DeviceType, for m: AVMediaType?, position: Position) -> AVCaptureDevice? { fatalError() }  // iOS 10.0
    public var position: Position { fatalError() }  // iOS 4.0
    public static let wasDisconnectedNotification = Notification.Name("disconnected")  // iOS 4.0
    public class RotationCoordinator: NSObject {  // iOS 17.0
        public init(device: AVCaptureDevice, previewLayer: CALayer?) { fatalError() }  // iOS 17.0
        public var videoRotationAngleForHorizonLevelCapture: CGFloat { fatalError() }  // iOS 17.0
        public var videoRotationAngleForHorizonLevelPreview: CGFloat { fatalError() }  // iOS 17.0
        public func observe<Value>(  // iOS 2.0; NSObject's own there, Linux has none
            _ path: KeyPath<RotationCoordinator, Value>, options: NSKeyValueObservingOptions,
            changeHandler: @escaping @Sendable (RotationCoordinator, NSKeyValueObservedChange<Value>) -> Void
        ) -> NSKeyValueObservation { fatalError() }
    }
}
public class AVCaptureDeviceInput: AVCaptureInput {  // iOS 4.0
    public init(device: AVCaptureDevice) throws { fatalError() }  // iOS 4.0
}
public class AVCaptureConnection: NSObject {  // iOS 4.0
    public func isVideoRotationAngleSupported(_ angle: CGFloat) -> Bool { fatalError() }  // iOS 17.0
    public var videoRotationAngle: CGFloat { get { fatalError() } set {} }  // iOS 17.0
    public var isVideoMirroringSupported: Bool { fatalError() }  // iOS 4.0
    public var automaticallyAdjustsVideoMirroring: Bool { get { fatalError() } set {} }  // iOS 6.0
    public var isVideoMirrored: Bool { get { fatalError() } set {} }  // iOS 4.0
}
public class AVCaptureOutput: NSObject {  // iOS 4.0
    public func connection(with type: AVMediaType) -> AVCaptureConnection? { fatalError() }  // iOS 5.0
}
public protocol AVCaptureVideoDataOutputSampleBufferDelegate: NSObjectProtocol {  // iOS 4.0
    func captureOutput(_ output: AVCaptureOutput, didOutput sampleBuffer: CMSampleBuffer, from connection: AVCaptureConnection)
    func captureOutput(_ output: AVCaptureOutput, didDrop sampleBuffer: CMSampleBuffer, from connection: AVCaptureConnection)
}
public class AVCaptureVideoDataOutput: AVCaptureOutput {  // iOS 4.0
    public override init() {}  // iOS 4.0
    public var alwaysDiscardsLateVideoFrames: Bool { get { fatalError() } set {} }  // iOS 4.0
    public var videoSettings: [String: Any]! { get { fatalError() } set {} }  // iOS 4.0
    public func setSampleBufferDelegate(_ d: (any AVCaptureVideoDataOutputSampleBufferDelegate)?, queue: DispatchQueue?) {}  // iOS 4.0
}
public let AVCaptureSessionInterruptionReasonKey = "AVCaptureSessionInterruptionReasonKey"  // iOS 9.0
public class AVCaptureSession: NSObject {  // iOS 4.0
    public struct Preset: Sendable { public static let vga640x480 = Preset() }  // iOS 4.0
    public enum InterruptionReason: Int, Sendable {  // iOS 9.0
        case videoDeviceNotAvailableInBackground = 1
        case audioDeviceInUseByAnotherClient = 2
        case videoDeviceInUseByAnotherClient = 3
        case videoDeviceNotAvailableWithMultipleForegroundApps = 4
        case videoDeviceNotAvailableDueToSystemPressure = 5
    }
    public static let wasInterruptedNotification = Notification.Name("interrupted")  // iOS 9.0
    public static let interruptionEndedNotification = Notification.Name("interruption ended")  // iOS 9.0
    public static let runtimeErrorNotification = Notification.Name("runtime error")  // iOS 4.0
    public override init() {}  // iOS 4.0
    public var sessionPreset: Preset { get { fatalError() } set {} }  // iOS 4.0
    public var isRunning: Bool { fatalError() }  // iOS 4.0
    public func beginConfiguration() {}  // iOS 4.0
    public func commitConfiguration() {}  // iOS 4.0
    public func canSetSessionPreset(_ p: Preset) -> Bool { fatalError() }  // iOS 4.0
    public func canAddInput(_ i: AVCaptureInput) -> Bool { fatalError() }  // iOS 4.0
    public func addInput(_ i: AVCaptureInput) {}  // iOS 4.0
    public func canAddOutput(_ o: AVCaptureOutput) -> Bool { fatalError() }  // iOS 4.0
    public func addOutput(_ o: AVCaptureOutput) {}  // iOS 4.0
    public func startRunning() {}  // iOS 4.0
    public func stopRunning() {}  // iOS 4.0
}

public struct AVLayerVideoGravity: Sendable { public static let resizeAspectFill = AVLayerVideoGravity() }  // iOS 4.0
public class AVCaptureVideoPreviewLayer: CALayer {  // iOS 4.0
    public var session: AVCaptureSession? { get { fatalError() } set {} }  // iOS 4.0
    public var videoGravity: AVLayerVideoGravity { get { fatalError() } set {} }  // iOS 4.0
    public var connection: AVCaptureConnection? { fatalError() }  // iOS 6.0
    public func layerRectConverted(fromMetadataOutputRect rect: CGRect) -> CGRect { fatalError() }  // iOS 7.0
}
