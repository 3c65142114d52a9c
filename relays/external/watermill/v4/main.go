// Brings the rows of the PostgreSQL table watermill_orders to Kafka, with watermill-sql v4 and watermill-kafka v3.
// ../v1 is the same program for watermill-sql v1.
package main

import (
	"context"
	"database/sql"
	"fmt"
	"log"
	"os"
	"os/signal"
	"syscall"
	"time"

	"github.com/IBM/sarama"
	"github.com/ThreeDotsLabs/watermill"
	"github.com/ThreeDotsLabs/watermill-kafka/v3/pkg/kafka"
	watermillsql "github.com/ThreeDotsLabs/watermill-sql/v4/pkg/sql"
	"github.com/ThreeDotsLabs/watermill/message"
	_ "github.com/jackc/pgx/v5/stdlib"
)

// The library adds "watermill_" to make the name of the table.
const tableTopic = "orders"

func main() {
	stop, cancel := signal.NotifyContext(context.Background(), syscall.SIGTERM, os.Interrupt)
	defer cancel()
	if err := relay(stop); err != nil {
		log.Fatal(err)
	}
}

func relay(stop context.Context) error {
	logger := watermill.NewStdLogger(false, false)

	db, err := sql.Open("pgx", os.Getenv("DATABASE_URL"))
	if err != nil {
		return err
	}
	defer db.Close()
	subscriber, err := watermillsql.NewSubscriber(watermillsql.BeginnerFromStdSQL(db), watermillsql.SubscriberConfig{
		// The default of a second would leave the relay behind the writers for most of the time.
		PollInterval:   50 * time.Millisecond,
		SchemaAdapter:  watermillsql.DefaultPostgreSQLSchema{},
		OffsetsAdapter: watermillsql.DefaultPostgreSQLOffsetsAdapter{},
	}, logger)
	if err != nil {
		return err
	}

	producer := kafka.DefaultSaramaSyncPublisherConfig()
	producer.Producer.RequiredAcks = sarama.WaitForAll // the default waits for the leader only
	publisher, err := kafka.NewPublisher(kafka.PublisherConfig{
		Brokers: []string{os.Getenv("BOOTSTRAP")},
		// The default marshaler sets no key, which spreads the events of one order over all partitions.
		Marshaler: kafka.NewWithPartitioningMarshaler(func(_ string, msg *message.Message) (string, error) {
			return msg.Metadata.Get("order_id"), nil
		}),
		OverwriteSaramaConfig: producer,
	}, logger)
	if err != nil {
		return err
	}

	// Not with `stop`: its end would roll back the subscriber's transaction, with what is acknowledged in it.
	messages, err := subscriber.Subscribe(context.Background(), tableTopic)
	if err != nil {
		return err
	}
	fmt.Fprintln(os.Stderr, "READY")

	// A publish that waits for an absent Kafka must not hold up the end. Its event was not acknowledged: it comes again.
	context.AfterFunc(stop, func() {
		time.Sleep(5 * time.Second)
		os.Exit(0)
	})
	for {
		select {
		case <-stop.Done():
			subscriber.Close()
			return publisher.Close()
		case msg := <-messages:
			if err := publisher.Publish(os.Getenv("TOPIC"), msg); err != nil {
				log.Print(err)
				msg.Nack() // the subscriber sends it again before any later one
			} else {
				msg.Ack()
			}
		}
	}
}
